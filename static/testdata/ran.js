// Notes in window.ran who ran; loaded several times, told apart by the query.
window.ran ??= [];
// A module has no current script.
if (!document.currentScript || document.currentScript.src.includes('?'))
  ran.push(document.currentScript ? new URL(document.currentScript.src).search.slice(1) : 'module');
