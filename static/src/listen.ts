/** Listens on the window, which every event used here reaches, for several types at once. */
export function listen<E extends Event>(types: string, listener: (event: E) => void): void {
  for (const type of types.split(' ')) addEventListener(type, listener as (event: Event) => void);
}
