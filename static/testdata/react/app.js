// An application that hydrates the whole document, as frameworks on React do:
// what it finds has to be what it rendered. react.html is its server's answer.
import { createElement as h, useEffect, useState } from 'react';
import { hydrateRoot } from 'react-dom/client';

function App() {
  const [page, go] = useState('one');
  useEffect(() => {
    window.hydrated = true;
  }, []);
  return h(
    'html',
    { lang: 'en' },
    h('head', null, h('title', null, 'React')),
    h(
      'body',
      null,
      h('button', { id: 'go', onClick: () => go(page === 'one' ? 'two' : 'one') }, page),
      page === 'one' &&
        h(
          'main',
          null,
          h('script', { type: 'text/plain', 'data-service': 'statistics', 'data-src': '/ran.js?one' }),
          h('iframe', { 'data-service': 'statistics', 'data-src': '/frame.html', title: 'Statistics' }),
          h('p', null, 'Page one'),
        ),
    ),
  );
}

window.hydrate = () => {
  hydrateRoot(document, h(App), {
    onRecoverableError: (problem) => (window.recovered ??= []).push(String(problem)),
  });
};
