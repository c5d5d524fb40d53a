/** Trusted Types (lib.dom has none yet): the part that is used. */
interface Policy {
  createScriptURL(url: string): string;
  createScript(code: string): string;
}
declare global {
  interface Window {
    trustedTypes?: { createPolicy(name: string, rules: Policy): Policy };
  }
}

/**
 * The one way in which Sluice turns text into running code, under the Trusted
 * Types policy `sluice`. It stays inside this bundle: what passes is the
 * banner's address and what the page itself marked.
 */
const rules: Policy = { createScriptURL: (url) => url, createScript: (code) => code };
export const trusted: Policy = window.trustedTypes?.createPolicy('sluice', rules) ?? rules;

/** Loads a script and calls back once it ran. A script that cannot be had is nothing: no banner, no choice, no collection. */
export function load(url: string, loaded: () => void): void {
  const script = document.createElement('script');
  script.src = trusted.createScriptURL(url);
  script.onload = loaded;
  document.head.append(script);
}
