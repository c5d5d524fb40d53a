/** The chunk for iframes, images and links that wait for a grant. */
import type { Inner } from '../api';
import { remember } from '../banner/decide';
import { current } from '../consent/standing';
import type { Decided } from '../consent/wire';
import type { Facts } from '../marked/facts';
import css from './frames.css';

/** Iframes, images and links that wait for a grant. */
export interface Frames {
  /** Lets an element load what it names. */
  load(element: HTMLElement): void;
  /** Keeps an element from loading, or takes back what it loaded; a frame says so in its place. */
  block(element: HTMLElement): void;
  /** Whether a placeholder has lost its place, or its frame. */
  mend(): boolean;
}

/** The attribute with the address; none for other elements, as a link that a visitor wrote and a sanitizer let pass. */
const named = ({ tagName }: Element) => (tagName === 'LINK' ? 'href' : /^I(FRAME|MG)$/.test(tagName) ? 'src' : undefined);

/** Whether an address can be read, and is no script. */
function safe(src: string): boolean {
  try {
    return new URL(src, document.baseURI).protocol !== 'javascript:';
  } catch {
    return false;
  }
}

function createFrames(inner: Inner, facts: () => Promise<Facts>): Frames {
  const { ask, lang, post, sync } = inner;
  const once = new WeakSet<HTMLElement>();
  const places = new Map<HTMLElement, HTMLElement>();

  // What was done to an element stands in its attribute data-sluice-src, which a copy of it has too: the address that
  // it was given, whatever the page has made of it since; or '', where it is hidden.

  function load(element: HTMLElement): void {
    const place = places.get(element);
    const focused = place && place === document.activeElement;
    place?.remove();
    places.delete(element);
    reveal(element);
    if (focused) element.focus();
    const { src, srcset, sluiceSrc } = element.dataset;
    if (srcset && element.getAttribute('srcset') !== srcset) element.setAttribute('srcset', srcset);
    const attribute = named(element);
    if (!src || src === sluiceSrc || !attribute || !safe(src)) return;
    element.dataset.sluiceSrc = src;
    element.setAttribute(attribute, src);
  }

  function block(element: HTMLElement): void {
    if (once.has(element)) return load(element);
    const { srcset, sluiceSrc } = element.dataset;
    if (srcset && element.getAttribute('srcset') === srcset) element.removeAttribute('srcset');
    const attribute = sluiceSrc && named(element);
    if (attribute) {
      delete element.dataset.sluiceSrc;
      // Leaves no step in the history; an attribute that is taken away alone would unload nothing.
      if (element instanceof HTMLIFrameElement) element.contentWindow?.location.replace('about:blank');
      element.removeAttribute(attribute);
    }
    if (element instanceof HTMLIFrameElement && element.dataset.src) show(element);
  }

  function reveal(element: HTMLElement): void {
    if (element.dataset.sluiceSrc !== '') return;
    delete element.dataset.sluiceSrc;
    element.style.removeProperty('display');
  }

  /** Puts a placeholder before a frame, of its size; or puts it back there. */
  async function show(frame: HTMLIFrameElement): Promise<void> {
    let place = places.get(frame);
    if (!place) {
      reveal(frame); // a copy of one that is hidden
      const { width, height } = frame.getBoundingClientRect();
      places.set(frame, (place = document.createElement('sluice-frame')));
      const root = place.attachShadow({ mode: 'open' });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(`${css}:host{max-inline-size:${width || 300}px!important;min-block-size:${height || 150}px!important}`);
      root.adoptedStyleSheets = [sheet];
      try {
        root.append(words(frame, await facts()));
      } catch (problem) {
        console.error(problem);
        if (places.get(frame) === place) places.delete(frame); // the next time that elements are looked at, again
      }
      if (places.get(frame) !== place) return; // granted meanwhile
    }
    frame.style.setProperty('display', 'none', 'important');
    frame.dataset.sluiceSrc = '';
    if (frame.previousSibling !== place) frame.before(place);
  }

  function words(frame: HTMLIFrameElement, { texts, services, purposes, dir, lang }: Facts): HTMLElement {
    const { service, purpose } = frame.dataset;
    const declared = services[service!];
    const name = declared?.title ?? purposes[purpose!] ?? service ?? purpose!;
    const box = document.createElement('section');
    Object.assign(box, { lang, dir });
    box.setAttribute('aria-label', frame.title || name);
    const text = document.createElement('p');
    text.append(texts.blocked.replace('{name}', name));
    if (declared) text.append(' ', texts.receives.replace('{provider}', declared.provider));
    const button = (label: string, onclick: () => unknown) => Object.assign(document.createElement('button'), { textContent: label, onclick });
    const here = () => {
      once.add(frame);
      load(frame);
      frame.focus();
    };
    box.append(text, button(texts.once, here), button(texts.always, () => always(frame.dataset)));
    return box;
  }

  /** Decides for one service, or for the purpose of a frame that names none: what else was decided stays. */
  async function always({ service, purpose }: DOMStringMap): Promise<void> {
    const { services, purposes, notice } = await facts();
    sync(); // what another window withdrew is not granted again
    const choice = current();
    const on = (name: string) =>
      name === service || (!service && services[name]!.purpose === purpose) || !!choice?.services.includes(name);
    const named = Object.keys(services);
    const wants = (name: string) =>
      name === purpose || !!choice?.purposes.includes(name) || named.some((s) => on(s) && services[s]!.purpose === name);
    const map = (names: string[], yes: (name: string) => boolean) => Object.fromEntries(names.map((name) => [name, yes(name)]));
    const body = { purposes: map(Object.keys(purposes), wants), services: map(named, on), method: 'custom', notice, lang };
    const answer = await post('d', body).catch(() => undefined);
    const saved = answer?.status === 201;
    if (saved) remember(inner, (await answer.json()) as Decided);
    if (!saved || !(service ? current()?.services : current()?.purposes)?.includes(service ?? purpose!)) ask(true);
  }

  function mend(): boolean {
    let lost = false;
    for (const [frame, place] of places) {
      if (!frame.isConnected) {
        place.remove();
        places.delete(frame);
      } else if (place.shadowRoot!.firstChild && !place.isConnected) lost = true;
    }
    return lost;
  }

  return { load, block, mend };
}

window.sluice!._.frames = createFrames;
