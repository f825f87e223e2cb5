/**
 * How this host reaches registries and package archives, passed on to environments: additional certificate
 * authorities, and proxies. Resolvers are inherited by the forwarder on the gateway address.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { namesIn } from './files.ts';
import { hostVariables } from './system.ts';
import type { OciHome } from '../home.ts';

/** What an environment gets from its host. */
export interface Inheritance {
  /** The certificate bundle of the host that is passed on; undefined when the host trusts nobody of its own. */
  readonly certificateAuthorities?: string | undefined;
  /** Variables for PID 1. */
  readonly environment: Readonly<Record<string, string>>;
  /** Folders that are seen inside, read-only. */
  readonly folders: ReadonlyArray<{ readonly source: string; readonly target: string }>;
  /** Proxies at private addresses, which are let through whatever the policy says of private ranges. */
  readonly proxies: ReadonlyArray<{ readonly address: string; readonly port: number }>;
  /** A sentence for each thing that is passed on or cannot be. */
  readonly report: readonly string[];
}

/** Nothing: for hosts that keep their settings to themselves. */
export const noInheritance: Inheritance = {
  environment: {},
  folders: [],
  proxies: [],
  report: ['certificate authorities and proxies of this host are not passed on: that is switched off'],
};

/** Where a host says what it trusts and how it reaches others. */
export interface HostSettings {
  /** The variables of this process, of which those about proxies are passed on. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Files that distributions keep the whole bundle in; the first that is there counts. */
  readonly bundles: readonly string[];
  /** Folders in which administrators add certificate authorities. */
  readonly additions: readonly string[];
}

/** This host, as distributions arrange it. */
export const thisHost: HostSettings = {
  variables: hostVariables,
  bundles: [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
    '/etc/ssl/ca-bundle.pem',
  ],
  additions: [
    '/usr/local/share/ca-certificates',
    '/etc/pki/ca-trust/source/anchors',
    '/etc/pki/trust/anchors',
  ],
};

const folderInside = '/opt/atelier-host';

/** Each is how some program is told of a bundle: OpenSSL, Node, git, curl, Python, Nix, and so on. */
const bundleVariables = [
  'SSL_CERT_FILE',
  'NODE_EXTRA_CA_CERTS',
  'GIT_SSL_CAINFO',
  'CURL_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
  'PIP_CERT',
  'NIX_SSL_CERT_FILE',
  'CARGO_HTTP_CAINFO',
  'AWS_CA_BUNDLE',
];

const proxyVariables = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy'];

/** Looks at the host and says what is passed on; `copyInherited` makes it be there. */
export function hostInheritance(home: OciHome, host: HostSettings = thisHost): Inheritance {
  const { variables, bundles, additions } = host;
  const environment: Record<string, string> = {};
  const report: string[] = [];
  const bundle = bundles.find((path) => existsSync(path));
  const trustsMore = additions.some((folder) => namesIn(folder).length > 0);
  const certificateAuthorities = trustsMore ? bundle : undefined;
  const folders =
    certificateAuthorities === undefined ? [] : [{ source: inheritedFolder(home), target: folderInside }];
  if (certificateAuthorities !== undefined) {
    for (const name of bundleVariables) environment[name] = `${folderInside}/ca-certificates.crt`;
    report.push(`certificate authorities of this host (${certificateAuthorities}) are trusted inside`);
  }
  const proxies: Array<{ address: string; port: number }> = [];
  for (const name of proxyVariables) {
    // One that is empty says nothing, so the other spelling counts.
    const value = variables[name] || variables[name.toUpperCase()];
    if (value === undefined || value === '') continue;
    environment[name] = value;
    environment[name.toUpperCase()] = value;
    const proxy = name === 'no_proxy' ? undefined : addressOf(value);
    if (proxy !== undefined) proxies.push(proxy);
    report.push(proxyWords(name, value));
  }
  if (report.length === 0) report.push('this host has no certificate authorities or proxies to pass on');
  return { certificateAuthorities, environment, folders, proxies, report };
}

/**
 * Copies the bundle that is passed on into the home, so that an update on the host reaches environments at the
 * next start of the runner.
 */
export function copyInherited(home: OciHome, { certificateAuthorities }: Inheritance): void {
  if (certificateAuthorities === undefined) return;
  const folder = inheritedFolder(home);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  copyFileSync(certificateAuthorities, join(folder, '.draft'));
  renameSync(join(folder, '.draft'), join(folder, 'ca-certificates.crt'));
}

function inheritedFolder(home: OciHome): string {
  return join(home.folder, 'runner/host');
}

function addressOf(proxy: string): { address: string; port: number } | undefined {
  const url = parseUrl(proxy);
  if (url === undefined || !isIPv4(url.hostname) || url.hostname.startsWith('127.')) return undefined;
  return { address: url.hostname, port: Number(url.port || 80) };
}

function parseUrl(text: string): URL | undefined {
  return URL.parse(text.includes('://') ? text : `http://${text}`) ?? undefined;
}

function proxyWords(name: string, value: string): string {
  const host = parseUrl(value)?.hostname ?? '';
  if (name !== 'no_proxy' && /^(localhost|127\.|\[::1\])/.test(host)) {
    return `${name} names this host's own loopback, which environments cannot reach: let the proxy listen elsewhere`;
  }
  return `${name} is passed on`;
}
