/** What a site measures beyond pageviews; what is left out is not measured. */
export interface Settings {
  /** Navigations within the page, by the history API. */
  routes?: boolean;
  /** Addresses that differ in a fragment such as `#/cart` are pages of their own. */
  hash_routes?: boolean;
  engagement?: boolean;
  scroll?: boolean;
  outbound?: boolean;
  /** Extensions, in small letters. */
  downloads?: readonly string[];
  forms?: boolean;
  not_found?: boolean;
  /** Parameters of the query that hold what was looked for. */
  search?: readonly string[];
  tagged?: boolean;
  vitals?: boolean;
  errors?: boolean;
}

/**
 * Leaves what the tag names in `data-measure="scroll outbound"`: a page can
 * measure less than its site, never more. Without the attribute everything
 * stays, with `off` nothing.
 */
export function narrow(settings: Settings, names: string | undefined): Settings {
  if (names === undefined) return settings;
  const kept = names.split(/\s+/);
  return Object.fromEntries(Object.entries(settings).filter(([name]) => kept.includes(name)));
}
