/** What the embedding script tag says: `<script async src="/_s/s.js" data-site="example.com">`. */
const { dataset, src } = document.currentScript as HTMLScriptElement;

/** Where the doors are: the address of the script up to its last slash, and its host. */
export const { href: base, hostname: host } = new URL('.', src);

/** The domain that Sluice is configured for. */
export const site = dataset.site || location.hostname;

/** Whether a host is the site's domain or below it: stats.example.com for example.com. */
export const owns = (name: string): boolean => `.${name}`.endsWith(`.${site}`);

/** The language to ask in, or '' to let the server take the browser's. */
export const lang = dataset.lang || document.documentElement.lang;

/** False where the page counts its pageviews itself, by sluice.track('pageview'). */
export const pageviews = dataset.pageviews !== 'off';
