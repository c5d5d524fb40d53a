import type { Track } from '../tracker/tracker';
import { follow } from './links';
import type { Settings } from './settings';
import { TAGGED, readTag } from './tagged';

/**
 * Links that are followed, forms that are sent, and elements that name an event
 * of their own. Heard before the page's own listeners, which may stop an event;
 * `home` tells the site's hosts.
 */
export function clicks(on: Settings, track: Track, home: (host: string) => boolean): void {
  const tagged = (element: Element | null) => {
    const [name, props, extra] = element ? readTag(element) : [];
    if (name) track(name, props, extra);
  };

  function click(event: MouseEvent): void {
    if (event.button > 1) return; // a menu; the wheel opens a tab
    const target = event.composedPath()[0] as Element; // also inside a shadow tree
    const link = target.closest?.('a');
    const followed = link?.href && follow(link, home, on.downloads ?? [], on.outbound);
    if (followed) track(...followed);
    const element = on.tagged && target.closest?.(TAGGED);
    if (element && element.localName !== 'form') tagged(element);
  }
  addEventListener('click', click, true);
  addEventListener('auxclick', click, true);

  addEventListener(
    'submit',
    (event) => {
      const form = event.target as HTMLFormElement;
      const attribute = (name: string) => form.getAttribute(name) ?? ''; // form.id may be a field of that name
      if (on.forms) {
        const { host, pathname } = new URL(attribute('action') || location.href, document.baseURI);
        track('form_submit', { form_id: attribute('id'), form_name: attribute('name'), form_destination: host + pathname });
      }
      if (on.tagged && form.matches(TAGGED)) tagged(form);
    },
    true,
  );
}
