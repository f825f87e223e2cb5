/** The three files below /etc that belong to the place and not to the image. Pure. */

/** What they depend on; no address means no network. */
export interface EtcParts {
  readonly hostname: string;
  readonly address?: string | undefined;
  readonly gateway?: string | undefined;
}

/** Names and texts of the files. */
export function etcFiles({ hostname, address, gateway }: EtcParts): Record<string, string> {
  return {
    hostname: `${hostname}\n`,
    hosts: [
      '127.0.0.1 localhost',
      '::1 localhost ip6-localhost ip6-loopback',
      `${address ?? '127.0.1.1'} ${hostname}`,
      '',
    ].join('\n'),
    // Without a network there is nobody to ask, and an empty file makes that known at once.
    'resolv.conf': gateway === undefined ? '' : `nameserver ${gateway}\noptions timeout:3\n`,
  };
}
