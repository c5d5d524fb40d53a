/** What was looked for, by the first of the parameters that an address holds; '' where it holds none. */
export function term(address: string, parameters: readonly string[]): string {
  const { searchParams } = new URL(address);
  for (const name of parameters) {
    const value = searchParams.get(name)?.trim();
    if (value) return value.slice(0, 100).toLowerCase();
  }
  return '';
}

/** The page that an address stands for: without its fragment, unless that is a route such as `#/cart` or `#!/cart` and `routes` are told apart by it. */
export const pageOf = (address: string, routes: boolean | undefined): string => address.split(routes ? /#(?![!/])/ : '#')[0]!;
