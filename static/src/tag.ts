/** What the embedding script tag says: `<script async src="/_s/s.js" data-site="example.com">`. */
const { dataset, src } = document.currentScript as HTMLScriptElement;

/** Where the doors are: the address of the script up to its last slash. */
export const base = new URL('.', src).href;

/** The domain that Sluice is configured for. */
export const site = dataset.site || location.hostname;

/** The language to ask in, or '' to let the server take the browser's. */
export const lang = dataset.lang || document.documentElement.lang;

/** False where the page counts its pageviews itself, by sluice.track('pageview'). */
export const pageviews = dataset.pageviews !== 'off';
