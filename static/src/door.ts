import { kept } from './gate';
import { base, host, misled, site, within } from './tag';

/**
 * Posts JSON for this site as text/plain, which needs no preflight on another
 * origin. Cookies travel where page and doors are both on the site's domain:
 * stats.example.com sets them for a page of example.com. To any other host the
 * token goes in the body, and that server allows no credentials.
 * `keepalive` lets a request outlive its page. Rejects where the answer is not
 * Sluice's: a web server in front that redirects a POST turns it into a GET.
 */
export async function post(path: string, body: object): Promise<Response> {
  const answer = await fetch(base + path, {
    credentials: (within() && within(host) ? 'include' : undefined) as RequestCredentials, // undefined: same-origin
    keepalive: true,
    body: JSON.stringify({ site, token: kept()[1], ...body }),
    method: 'POST',
  });
  if (answer.redirected || /html/.test(answer.headers.get('content-type')!)) {
    misled();
    throw answer;
  }
  return answer;
}
