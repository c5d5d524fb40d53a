import { base, misled } from './tag';

/** Trusted Types (lib.dom has none yet): the part that is used. */
export interface Policy {
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
 * Types policy `sluice`. It stays inside this bundle and its chunks: what passes
 * is what lies beside the script, and what the page itself marked.
 */
const rules: Policy = { createScriptURL: (url) => url, createScript: (code) => code };
export const trusted: Policy = window.trustedTypes?.createPolicy('sluice', rules) ?? rules;

/** Loads a script beside this one and calls back once it ran. One that cannot be had is nothing, no banner, no choice, no collection, and reported. */
export function load(name: string, loaded?: () => void): void {
  const script = document.createElement('script');
  script.src = trusted.createScriptURL(base + name);
  script.onload = loaded!;
  script.onerror = misled;
  document.head.append(script);
}
