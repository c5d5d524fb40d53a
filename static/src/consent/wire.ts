/** What the doors take and the banner is handed: the wire, as design section 5 fixes it. */

export type Method = 'accept_all' | 'reject_all' | 'custom' | 'withdraw';

/** `POST <base>/d`. */
export interface Decision {
  site: string;
  purposes: Record<string, boolean>;
  /** Left out, a service follows its purpose. */
  services?: Record<string, boolean>;
  method: Method;
  notice: string;
  lang: string;
  /** Signed by the server: which texts, language and variant were on screen. */
  shown: string;
  /** Only where the browser is not given cookies. */
  token?: string;
}

/** The part of a 201 that the script uses. */
export interface Decided {
  /** '' where nothing is granted. */
  token: string;
}

export type Props = Record<string, string | number | boolean>;

/** One event of `POST <base>/e`. Times are the browser's clock, in Unix milliseconds. */
export interface TrackedEvent {
  id: string;
  name: string;
  url: string;
  title: string;
  referrer: string;
  ts: number;
  session: string;
  screen: [number, number];
  props?: Props;
  engagement_ms?: number;
}

export interface CookieFact {
  name: string; // may end in `*`
  /** A key of localStorage or sessionStorage; left out, a cookie. */
  kind?: 'local' | 'session';
  /** Where it is not the service's. */
  provider?: string;
  lasts: string;
  purpose: string;
}

export interface Service {
  name: string;
  title: string;
  /** One sentence on what it does. */
  description?: string;
  provider: string;
  /** Who else receives data. */
  recipients?: string[];
  country?: string;
  transfer?: string;
  policy_url?: string;
  /** The recipient is somebody other than the site's controller. */
  external?: boolean;
  cookies?: CookieFact[];
}

export interface Purpose {
  name: string;
  title: string;
  description: string;
  required?: boolean;
  services?: Service[];
}

/** What `<base>/b` hands to the banner. Dates are `YYYY-MM-DD`. */
export interface BannerData {
  site: string;
  lang: string;
  dir: 'ltr' | 'rtl';
  notice: { version: string; updated?: string; policy_url?: string };
  controller: { name: string; contact?: string };
  purposes: Purpose[];
  texts: Record<string, string>;
  shown: string;
  layout: 'bar' | 'box';
  theme?: Record<string, string>;
  close_button?: boolean;
  days: number;
}
