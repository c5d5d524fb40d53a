import { kept } from './gate';
import { base, home, misled, near, site } from './tag';

/**
 * Posts JSON for this site as text/plain, which needs no preflight on another
 * origin. Cookies travel to the site's own hosts; to any other the token goes
 * in the body, and that server allows no credentials.
 * `keepalive` lets a request outlive its page. Rejects where the answer is not
 * Sluice's: a web server in front that redirects a POST turns it into a GET.
 */
export async function post(path: string, body: object): Promise<Response> {
  const answer = await fetch(base + path, {
    credentials: (home && near ? 'include' : undefined) as RequestCredentials, // undefined: same-origin
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
