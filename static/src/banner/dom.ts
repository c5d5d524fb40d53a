type Child = Node | string | false | null | undefined;

/**
 * Builds an element: attributes as strings, listeners and properties as they
 * are; undefined and false leave one out. Nothing is ever parsed as HTML, so
 * no Trusted Types policy is needed for it.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, unknown>,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const name in attributes) {
    const value = attributes[name];
    if (typeof value === 'string') element.setAttribute(name, value);
    else if (value) (element as Record<string, unknown>)[name] = value;
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** A link to another page, opened beside this one. */
export const link = (href: string | undefined, text: string): HTMLElement | undefined =>
  href ? h('a', { href, target: '_blank', rel: 'noopener' }, text) : undefined;
