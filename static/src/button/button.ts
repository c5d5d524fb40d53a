/**
 * A small button that stays on every page once a choice was made, and opens it
 * again: withdrawing has to be as easy as agreeing (GDPR Art. 7(3)). A script
 * of its own, for sites that want one beside or instead of a link of theirs:
 * `<script async src="/_s/c.js" data-label="Privacy choices"></script>`.
 */
import labels from 'texts:choices.title';
import css from './button.css';

const { dataset } = document.currentScript as HTMLScriptElement;
const { documentElement: page } = document;

/** The page's language, else the browser's; a regional one falls back to its language, that to English. */
function label(): string {
  const lang = page.lang || navigator.language;
  const near = Object.keys(labels).find((tag) => tag.split('-')[0] === lang.split('-')[0]);
  return dataset.label || labels[lang] || labels[near!] || labels.en!;
}

const svg = (tag: string, attributes: Record<string, string>): Element => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]!);
  return element;
};

const host = document.createElement('sluice-button');
const root = host.attachShadow({ mode: 'open' });
const style = new CSSStyleSheet();
style.replaceSync(css);
root.adoptedStyleSheets = [style];

const button = document.createElement('button');
const words = document.createElement('span');
words.textContent = label();
const icon = svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' });
icon.append(svg('path', { d: 'M4 8h9m6 0h1M4 16h2m6 0h8' }), svg('circle', { cx: '16', cy: '8', r: '2.5' }), svg('circle', { cx: '9', cy: '16', r: '2.5' }));
button.append(icon, words);
button.onclick = () => window.sluice!.open();
root.append(button);

/** There from the choice on; also after a framework has rendered the body anew. */
function show(): void {
  if (!window.sluice?.consent) host.remove();
  else if (!host.isConnected) document.body.append(host);
}

addEventListener('sluice:change', show);
// In a task of its own: two observers that undo each other in microtasks would hang the page.
new MutationObserver(() => host.isConnected || setTimeout(show)).observe(page, { childList: true, subtree: true });
if (document.body) show();
