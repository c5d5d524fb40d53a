import css from './first.css';

/** The element that carries the banner, and what it does to the page around it. */
export interface Frame {
  readonly root: ShadowRoot;
  mount(): void;
  unmount(): void;
  /** Keeps what this element covers within reach; without one, gives the page back. */
  cover(element?: HTMLElement): void;
}

/**
 * Makes `<sluice-choices>`, the first element of the body, so that it comes
 * first for keyboards and screen readers too. Its shadow root keeps the page's
 * style out. `restored` shows again what was on screen when a framework that
 * renders the body took the host out, and it was put back.
 */
export function createFrame(theme: Record<string, string>, restored: () => void): Frame {
  const host = document.createElement('sluice-choices');
  const root = host.attachShadow({ mode: 'open' });
  const style = new CSSStyleSheet();
  style.replaceSync(css);
  root.adoptedStyleSheets = [style];
  for (const name in theme) host.style.setProperty('--sluice-' + name, theme[name]!);

  // Put back in a task of its own: two observers that undo each other in microtasks would hang the page.
  const keeper = new MutationObserver(() => host.isConnected || setTimeout(mount));
  let padding: CSSStyleSheet | undefined;
  let sizer: ResizeObserver | undefined;

  function mount(): void {
    if (host.isConnected) return;
    document.body.prepend(host);
    keeper.observe(document.documentElement, { childList: true });
    keeper.observe(document.body, { childList: true });
    restored();
  }

  function unmount(): void {
    keeper.disconnect();
    host.remove();
  }

  /**
   * Focused elements scroll clear of what is covered (WCAG 2.2, 2.4.11), and
   * the end of the page, where the imprint is linked, can be scrolled above it.
   * A page that does not scroll stays as it is: a scroll bar would shift it.
   */
  function reserve(element: HTMLElement): void {
    const { scrollHeight, clientHeight } = document.documentElement;
    const end = `padding-block-end:${element.offsetHeight + 32}px`;
    padding!.replaceSync(`html{scroll-${end}${scrollHeight > clientHeight ? ';' + end : ''}}`);
  }

  function cover(element?: HTMLElement): void {
    sizer?.disconnect();
    const sheets = document.adoptedStyleSheets.filter((sheet) => sheet !== padding);
    if (element) {
      sheets.push((padding ??= new CSSStyleSheet()));
      sizer = new ResizeObserver(() => reserve(element));
      sizer.observe(element);
    }
    document.adoptedStyleSheets = sheets;
  }

  return { root, mount, unmount, cover };
}
