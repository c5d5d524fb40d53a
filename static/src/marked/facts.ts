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

/** Reads them when they are first needed, once for the page. */
export function readFacts({ base, site, lang }: Inner): () => Promise<Facts> {
  let read: Promise<Facts> | undefined;
  return () =>
    (read ??= fetch(`${base}m?site=${site}&lang=${lang}`, { credentials: 'omit' }).then((answer) => {
      if (!answer.ok) throw new Error(`sluice: ${base}m answers ${answer.status}`);
      return answer.json() as Promise<Facts>;
    }));
}
