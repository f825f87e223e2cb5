/**
 * Git remotes as people write them, checked before any process sees them: what passes here can be no
 * option of a program, no transport helper and no second line of anything.
 */
import { AtelierError } from '@atelier/api';

/** A remote that is safe to hand to git as an argument. */
export interface GitRemote {
  readonly kind: 'http' | 'ssh' | 'file';
  /** The remote without user info; of an ssh remote the user name stays. */
  readonly url: string;
  /** Host with its port, for messages; empty for a file remote. */
  readonly host: string;
  /** What stood before the @ of an http remote. For one command only, never to be written down. */
  readonly credential: { readonly username: string; readonly password: string } | undefined;
  /** Absolute path on this machine of a file remote, empty otherwise. */
  readonly path: string;
}

const lengthMax = 2048;
// Control characters, white space, backslash and quotes have no place in a remote and a meaning elsewhere.
// oxlint-disable-next-line no-control-regex
const forbidden = /[\u0000-\u0020\u007f"'`\\<>|;$]/;
const hostPattern = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/;
const userPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/**
 * Reads a remote. Allowed are http, https, ssh, file and the short form `user@host:path`.
 * `invalid_argument` for everything else; the message never holds what stands before the @.
 */
export function parseRemote(text: string): GitRemote {
  if (text === '') throw refused('is empty');
  if (text.length > lengthMax) throw refused(`is longer than ${lengthMax} characters`);
  if (text.startsWith('-')) throw refused('begins with "-"');
  if (forbidden.test(text)) throw refused('holds white space, a quote or a control character');
  if (/^[A-Za-z0-9+.-]*::/.test(text)) throw refused('names a transport helper, which could run any program');
  const short = /^([^/@:]+)@([^/@:]+|\[[^\]]+\]):(?!\/\/)(.+)$/.exec(text);
  if (short !== null) return shortRemote(text, short[1] ?? '', short[2] ?? '', short[3] ?? '');
  if (!/^[a-z]+:\/\//i.test(text)) throw refused(allowedForms);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refused('is no URL');
  }
  if (/%(?:0[0-9a-f]|1[0-9a-f]|7f)/i.test(text)) throw refused('holds an encoded control character');
  switch (url.protocol) {
    case 'http:':
    case 'https:':
      return httpRemote(url);
    case 'ssh:':
      return sshRemote(url);
    case 'file:':
      return fileRemote(url);
    default:
      throw refused(allowedForms);
  }
}

const allowedForms = 'is of a form that is not allowed: http, https, ssh, file or user@host:path are';

function httpRemote(url: URL): GitRemote {
  requireHost(url.host);
  const clean = new URL(url.href);
  clean.username = '';
  clean.password = '';
  clean.hash = '';
  return { kind: 'http', url: clean.href, host: url.host, credential: credentialIn(url), path: '' };
}

/** What stands before the @ of a URL; `invalid_argument` for what no command could be given. */
export function credentialIn(url: URL): GitRemote['credential'] {
  const username = decoded(url.username);
  const password = decoded(url.password);
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(username + password)) throw refused('holds an encoded control character');
  if (username === '' && password === '') return undefined;
  // A token alone is often written as the user name; the name does not matter then.
  return { username: username === '' ? 'git' : username, password: password === '' ? username : password };
}

function sshRemote(url: URL): GitRemote {
  requireHost(url.host);
  if (url.username !== '' && !userPattern.test(url.username)) throw refused('has a malformed user');
  if (url.password !== '') throw refused('holds a password, which ssh does not take; use a key');
  if (url.pathname.startsWith('/-')) throw refused('has a path that begins with "-"');
  return { kind: 'ssh', url: url.href, host: url.host, credential: undefined, path: '' };
}

function shortRemote(text: string, user: string, host: string, path: string): GitRemote {
  if (!userPattern.test(user)) throw refused('has a malformed user');
  requireHost(host);
  if (path.startsWith('-')) throw refused('has a path that begins with "-"');
  return { kind: 'ssh', url: text, host, credential: undefined, path: '' };
}

function fileRemote(url: URL): GitRemote {
  if (url.host !== '')
    throw refused('names a host; a file remote has three slashes, as in file:///srv/repository');
  const path = decoded(url.pathname).replace(/\/+$/, '');
  if (path === '') throw refused('is the root folder');
  return { kind: 'file', url: `file://${path}`, host: '', credential: undefined, path };
}

function requireHost(host: string): void {
  if (!hostPattern.test(host)) throw refused('has a malformed host');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused('holds a malformed percent encoding');
  }
}

function refused(why: string): AtelierError {
  return new AtelierError('invalid_argument', `The git remote ${why}. Correct the remote of the content.`);
}

/** The name of a branch or tag that may be an argument; `invalid_argument` otherwise. */
export function requireRefName(name: string, what: string): string {
  const wellFormed =
    name.length <= 255 &&
    // oxlint-disable-next-line no-control-regex
    !/[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|\.lock$|^[-/.]|[/.]$/.test(name);
  if (name !== '' && wellFormed) return name;
  throw new AtelierError(
    'invalid_argument',
    `${JSON.stringify(name.slice(0, 100))} is no name of a ${what}. Correct the clone target.`,
  );
}

/** A commit's name in hexadecimal digits; `invalid_argument` otherwise. */
export function requireCommit(name: string): string {
  if (/^[0-9a-fA-F]{7,64}$/.test(name)) return name;
  throw new AtelierError(
    'invalid_argument',
    `${JSON.stringify(name.slice(0, 100))} is no commit: give 7 to 64 hexadecimal digits.`,
  );
}
