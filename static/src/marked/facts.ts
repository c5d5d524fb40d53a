import type { Inner } from '../api';

/** What `GET <base>/m` tells about the site's services, in the visitor's language. */
export interface Facts {
  lang: string;
  dir: string;
  /** Version. */
  notice: string;
  texts: Record<'blocked' | 'receives' | 'once' | 'always', string>;
  /** Titles by name. */
  purposes: Record<string, string>;
  services: Record<string, { title: string; provider: string; purpose: string; reload?: boolean }>;
}

/** Reads them when they are first needed, once for the page; where they could not be had, again. */
export function readFacts({ base, site, lang }: Inner): () => Promise<Facts> {
  let read: Promise<Facts> | undefined;
  async function get(): Promise<Facts> {
    const answer = await fetch(`${base}m?site=${site}&lang=${lang}`, { credentials: 'omit' });
    if (!answer.ok) throw new Error(`sluice: ${base}m answers ${answer.status}`);
    return answer.json() as Promise<Facts>;
  }
  return () =>
    (read ??= get().catch((problem) => {
      read = undefined;
      throw problem;
    }));
}
