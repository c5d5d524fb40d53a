import type { Policy } from '../loader';

/** Runs marked scripts, each once. */
export interface Runner {
  /** Runs a script, and resolves when the next one may; those that are deferred wait for finish. */
  run(marked: HTMLScriptElement): Promise<unknown>;
  /** Runs the deferred ones in order, where the document is complete; each only if it is still granted. */
  finish(granted: (marked: HTMLScriptElement) => boolean): Promise<unknown>;
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
  let deferred: HTMLScriptElement[] = [];

  function copy(marked: HTMLScriptElement): HTMLScriptElement {
    const script = document.createElement('script');
    for (const { name, value } of marked.attributes) {
      if (/^on/.test(name)) script.setAttribute(name, trusted.createScript(value));
      else if (!/^(type|src|data-src|data-type)$/.test(name)) script.setAttribute(name, value);
    }
    script.nonce = marked.nonce!;
    script.async = marked.async && marked.hasAttribute('async');
    if (marked.dataset.type) script.type = marked.dataset.type;
    return script;
  }

  function execute(marked: HTMLScriptElement): Promise<unknown> | undefined {
    const { src, type, service } = marked.dataset;
    const script = copy(marked);
    const ran = new Promise<unknown>((next) => (script.onload = script.onerror = next)).then(() => script.remove());
    if (service) services.add(service);
    if (src) script.src = trusted.createScriptURL(src);
    else script.text = trusted.createScript(marked.text);
    marked.after(script);
    if (src || type === 'module') return script.async ? undefined : ran;
    script.remove();
    return undefined;
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
      const list = deferred;
      deferred = [];
      for (const marked of list) {
        if (granted(marked)) await execute(marked);
        else done.delete(marked);
      }
    },
  };
}
