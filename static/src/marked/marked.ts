/**
 * What the page marked, loaded where there is any:
 * `<script type="text/plain" data-service="…">`, and iframes, images and links
 * with `data-src`. Each takes effect once its purpose and its service are
 * granted, in document order; a script also waits for the script before it.
 */
import type { Core } from '../api';

function start({ current, listen, trusted }: Core): void {
  /** One run at a time, so that a later one does not overtake a script that is still loading. */
  let last = Promise.resolve();
  const activate = () => (last = last.then(run));

  async function run(): Promise<void> {
    for (const marked of document.querySelectorAll<HTMLScriptElement>('[data-purpose],[data-service]')) {
      const { purpose, service, src } = marked.dataset;
      const choice = current();
      if (purpose && purpose !== 'essential' && !choice?.purposes.includes(purpose)) continue;
      if (service && !choice?.services.includes(service)) continue;
      if (marked.type === 'text/plain') {
        await insert(marked, src);
      } else if (src) {
        delete marked.dataset.src;
        marked.setAttribute('href' in marked ? 'href' : 'src', src);
      }
    }
  }

  /** A script runs only when it is inserted, so a copy takes its place. Resolves once it has run, or failed. */
  function insert(marked: HTMLScriptElement, src: string | undefined): Promise<unknown> {
    const script = marked.cloneNode() as HTMLScriptElement; // not its text, which has to pass the policy
    script.removeAttribute('type');
    delete script.dataset.src;
    return new Promise<unknown>((done) => {
      if (src) {
        script.onload = script.onerror = done;
        script.src = trusted.createScriptURL(src);
      } else {
        script.text = trusted.createScript(marked.text);
        done(0);
      }
      marked.replaceWith(script);
    });
  }

  activate();
  listen('sluice:change DOMContentLoaded', activate);
}

window.sluice!._.chunk = start;
