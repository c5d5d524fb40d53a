/**
 * Takes away what a service left in the browser, loaded where a decision
 * refuses something and the browser holds anything: the cookies and storage
 * keys that it declares, as far as a script can see them. What is HttpOnly ends
 * with the server's answer to the decision.
 */
/** `declared`: names of cookies and storage keys; one that ends in `*` matches any rest. */
function clear(declared: string[]): void {
  const matches = (name: string) => declared.some((d) => (d.endsWith('*') ? name.startsWith(d.slice(0, -1)) : name === d));
  for (const pair of document.cookie.split('; ')) {
    const name = pair.split('=')[0]!;
    if (matches(name)) expireEverywhere(name);
  }
  for (const area of ['localStorage', 'sessionStorage'] as const) {
    try {
      const storage = window[area];
      for (const key of Object.keys(storage)) if (matches(key)) storage.removeItem(key);
    } catch {
      // storage is off
    }
  }
}

/** A script sees neither the domain nor the path of a cookie, so each that may have set it is tried, partitioned or not. */
function expireEverywhere(name: string): void {
  const labels = location.hostname.split('.');
  const domains = ['', ...labels.map((_, i) => labels.slice(i).join('.'))];
  const steps = location.pathname.split('/').slice(1);
  const paths = new Set(['/', ...steps.flatMap((_, i) => ['/' + steps.slice(0, i + 1).join('/'), '/' + steps.slice(0, i + 1).join('/') + '/'])]);
  for (const domain of domains) {
    const expired = `${name}=;max-age=0${domain && ';domain=' + domain};path=`;
    for (const path of paths) document.cookie = expired + path;
    document.cookie = expired + '/;secure;partitioned';
  }
}

window.sluice!._.clear = clear;
