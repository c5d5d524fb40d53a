/** What the embedding script tag says: `<script async src="/_s/s.js" data-site="example.com">`. */
const script = document.currentScript as HTMLScriptElement;

/** Where the doors are: the address of the script without its name. */
export const base = script.src.replace(/\/[^/]*$/, '');

/** The domain that Sluice is configured for. */
export const site = script.dataset.site || location.hostname;

/** The language to ask in, or '' to let the server take the browser's. */
export const lang = script.dataset.lang || document.documentElement.lang;

/** False where the page counts its pageviews itself, by sluice.track('pageview'). */
export const pageviews = script.dataset.pageviews !== 'off';
