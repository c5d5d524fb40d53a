import type { Props } from '../consent/wire';

/** The part of a link that is looked at; an <a> of HTML has it. */
export type Link = Pick<HTMLAnchorElement, 'protocol' | 'host' | 'hostname' | 'pathname'>;

/**
 * What following a link amounts to: a download by its extension, else a link
 * that leaves the site, else nothing. Never with the link's query, which may
 * hold anything.
 */
export function follow(link: Link, home: (host: string) => boolean, downloads: readonly string[], outbound: boolean | undefined): [name: string, props: Props] | undefined {
  const { protocol, host, hostname, pathname } = link;
  if (!/^https?:$/.test(protocol)) return;
  const url = `${protocol}//${host}${pathname}`;
  const extension = /\.(\w+)$/.exec(pathname)?.[1]!.toLowerCase();
  if (extension && downloads.includes(extension)) return ['file_download', { link_url: url, file_name: pathname, file_extension: extension }];
  if (outbound && !home(hostname)) return ['outbound_link', { link_url: url, link_domain: hostname }];
}
