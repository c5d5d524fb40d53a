ran.push('from file');
