import type { Policy } from '../loader';

/** Runs marked scripts, each once. */
export interface Runner {
  /** Runs a script, and resolves when the next one may; those that are deferred wait for finish. */
  run(marked: HTMLScriptElement): Promise<unknown>;
  /** Runs the deferred ones in order, where the document is complete; each only if it is still granted. */
  finish(granted: (marked: HTMLScriptElement) => boolean): Promise<unknown>;
  /** Calls off those that are still loading, and are not granted any more. */
  recall(granted: (marked: HTMLScriptElement) => boolean): void;
  /** The services whose scripts ran in this page. */
  readonly services: ReadonlySet<string>;
}

/**
 * A script runs when it is inserted, and never again; so a copy runs beside the
 * marked one and goes when it ran. A framework that rendered the marked one finds
 * its document as it left it.
 */
export function createRunner(trusted: Policy): Runner {
  const done = new WeakSet<Element>();
  const services = new Set<string>();
  /** Those under way, and how each is called off. */
  const loading = new Map<HTMLScriptElement, () => void>();
  const deferred: HTMLScriptElement[] = [];

  function copy(marked: HTMLScriptElement): HTMLScriptElement {
    const script = document.createElement('script');
    for (const attribute of marked.attributes) {
      const { name, value } = attribute;
      if (/^on/.test(name)) script.setAttribute(name, trusted.createScript(value));
      // A clone: markup may hold names that setAttribute refuses.
      else if (!/^(data-src|type|src|data-type)$/.test(name)) script.setAttributeNode(attribute.cloneNode() as Attr);
    }
    script.nonce = marked.nonce!;
    script.async = marked.async && marked.hasAttribute('async');
    if (marked.dataset.type) script.type = marked.dataset.type;
    return script;
  }

  /** Resolves when a script ran, cannot be had, or was called off. */
  function over(marked: HTMLScriptElement, script: HTMLScriptElement): Promise<void> {
    return new Promise((next) => {
      const end = () => {
        loading.delete(marked);
        script.remove();
        next();
      };
      // Beside the page's own handlers, which are attributes.
      script.addEventListener('load', () => {
        ran(marked);
        end();
      });
      script.addEventListener('error', end);
      loading.set(marked, () => {
        // In another document it does not run, whatever arrives: https://html.spec.whatwg.org/#execute-the-script-element
        document.implementation.createHTMLDocument('').adoptNode(script);
        done.delete(marked);
        end();
      });
    });
  }

  function ran({ dataset: { service } }: HTMLScriptElement): void {
    if (service) services.add(service);
  }

  function execute(marked: HTMLScriptElement): Promise<void> | undefined {
    if (!marked.isConnected) {
      done.delete(marked); // taken out before its turn: it may come back
      return;
    }
    const { src, type } = marked.dataset;
    const script = copy(marked);
    if (src) script.src = trusted.createScriptURL(src);
    else script.text = trusted.createScript(marked.text);
    const end = src || type === 'module' ? over(marked, script) : undefined;
    marked.after(script);
    if (!end) {
      script.remove();
      ran(marked);
    }
    // An inline module that the page's policy refuses tells nobody.
    return src && !script.async ? end : undefined;
  }

  return {
    services,
    async run(marked) {
      if (marked.type !== 'text/plain' || done.has(marked)) return;
      done.add(marked);
      const { src, type } = marked.dataset;
      const { async } = copy(marked);
      if (!async && (type === 'module' || (src && marked.defer))) deferred.push(marked);
      else await execute(marked);
    },
    async finish(granted) {
      if (document.readyState === 'loading') return;
      for (let marked; (marked = deferred.shift()); ) {
        if (granted(marked)) await execute(marked);
        else done.delete(marked);
      }
    },
    recall(granted) {
      for (const [marked, off] of loading) if (!granted(marked)) off();
    },
  };
}
