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
  token?: string | undefined;
  /** A tag of Google's had run that nobody marked. */
  outside?: boolean | undefined;
}

/** The part of a 201 that the script uses. */
export interface Decided {
  /** '' where nothing is granted. */
  token: string;
  /** What `sl_choice` holds. */
  choice: string;
  /** RFC 3339. */
  expires: string;
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
  props?: Props | undefined;
  revenue?: Revenue;
  items?: Item[];
  engagement_ms?: number;
}

/** An amount of money: a decimal in digits such as `9.90`, and a currency by ISO 4217. */
export interface Revenue {
  amount: string;
  currency: string;
}

/** One article of a purchase, in the words of Google Analytics. */
export interface Item {
  item_id?: string;
  item_name?: string;
  price?: number;
  quantity?: number;
  [name: string]: string | number | boolean | undefined;
}

/** What an event of the page's own may carry beside its properties. */
export interface Extra {
  revenue?: Revenue;
  items?: Item[];
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

/** Of a service, what an answer has to name. */
export interface ServiceName {
  name: string;
  /** The recipient is somebody other than the site's controller. */
  external?: boolean;
}

/** And what to expire where it is not granted. */
export interface FirstService extends ServiceName {
  /** Names of cookies; one may end in `*`. */
  clear?: string[];
}

export interface Service extends ServiceName {
  title: string;
  /** One sentence on what it does. */
  description?: string;
  provider: string;
  /** Who else receives data. */
  recipients?: string[];
  country?: string;
  transfer?: string;
  policy_url?: string;
  cookies?: CookieFact[];
}

export interface Purpose<S extends ServiceName = Service> {
  name: string;
  title: string;
  description: string;
  required?: boolean;
  services?: S[];
}

export type Texts = Record<string, string>;

/** What `<base>/b` hands to the first layer: enough to ask and to answer. */
export interface FirstData {
  site: string;
  lang: string;
  dir: 'ltr' | 'rtl';
  notice: { version: string; policy_url?: string };
  purposes: Purpose<FirstService>[];
  texts: Texts;
  shown: string;
  layout: 'bar' | 'box' | 'corner';
  theme?: Texts;
  days: number;
  /** The site honours Global Privacy Control. */
  gpc?: boolean;
  /** The variant that was drawn; left out, the banner as it is configured. */
  variant?: string;
  /** Purposes that changed since the choice that stands, which alone are asked about; and what changed. */
  renew?: Record<string, string>;
}

/** What it hands to the preferences when they are opened. Dates are `YYYY-MM-DD`. */
export interface FullData {
  site: string;
  lang: string;
  dir: 'ltr' | 'rtl';
  notice: { version: string; updated?: string; policy_url?: string };
  controller: { name: string; address?: string; contact?: string; dpo?: string; authority?: string };
  purposes: Purpose[];
  texts: Texts;
}
