/** What the server explains of an event that it stored; of the visitor's own alone. */
export interface Explained {
  index: number;
  stored: {
    source?: string;
    channel?: string;
    country?: string;
    browser?: string;
    os?: string;
    device?: string;
    props?: Record<string, unknown>;
    revenue?: string;
    test?: boolean;
  };
  forwards: { destination: string; refused?: string; changed?: Record<string, number> }[];
}

const DROPPED: Record<string, string> = {
  no_consent: 'no consent covers it. The visitor has not agreed, or the page sent no token',
  expired: 'the consent has expired; the banner asks again',
  withdrawn: 'the consent was withdrawn',
  stale_notice: 'what was agreed to has changed since; the banner asks again',
  bad_token: 'the token is unreadable or forged. Was the key file replaced?',
  wrong_site: 'the token, or the address of the page, is another site’s. Does data-site name this site?',
  bot: 'the browser says that it is a machine (exclude.bots)',
  excluded: 'the site excludes this address, path or country (exclude)',
  gpc: 'the browser sends Global Privacy Control',
  duplicate: 'an event of this id was stored before',
  invalid: 'a field is missing, too long or of the wrong type',
};

/** Why an event was not stored. */
export const whyDropped = (reason: string): string => `${DROPPED[reason] ?? reason} (${reason})`;

const REFUSED: Record<string, string> = {
  test: 'pages on a test host are never forwarded',
  signal: 'the browser sends Global Privacy Control, and the yes was given without it',
  no_consent: 'the visitor has not agreed to this service',
};

/** Why an event is not forwarded. */
export const whyRefused = (reason: string): string => REFUSED[reason] ?? DROPPED[reason] ?? reason;
