/** What a failed clone says to a person: git's last words without credentials, and what to do. */
import { AtelierError } from '@atelier/api';
import type { GitRemote } from './remote.ts';
import type { FoundKeys } from './ssh-keys.ts';

const linesShown = 5;

/** Takes credentials out of a text: what the remote held, and whatever stands before an @ of a URL. */
export function withoutCredentials(text: string, remote: GitRemote | undefined): string {
  let clean = text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/@\s]+@/gi, '$1');
  const { credential } = remote ?? {};
  for (const secret of [credential?.password, credential?.username]) {
    if (secret === undefined || secret === '' || secret === 'git') continue;
    for (const written of new Set([secret, encodeURIComponent(secret)]))
      clean = clean.replaceAll(written, '***');
  }
  return clean;
}

/** The error of a command that ended with `exitCode`; trying again helps only when the network was at fault. */
export function contentFailure(
  stderr: string,
  exitCode: number,
  remote: GitRemote | undefined,
  sshKeys?: FoundKeys,
): AtelierError {
  const clean = withoutCredentials(stderr, remote);
  const lines = clean
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter(
      (line) =>
        line !== '' &&
        !/^(?:Cloning into|remote: (?:Counting|Compressing|Enumerating|Total)|Receiving|Resolving|Updating files)/.test(
          line,
        ),
    );
  const last = lines.slice(-linesShown).join('\n');
  const host = remote?.host ?? '';
  if (/Host key verification failed/i.test(clean)) {
    return new AtelierError(
      'failed_precondition',
      `${host} shows another host key than the one that is known of it (~/.ssh/known_hosts). If the new one is right, take the old one out with "ssh-keygen -R ${host}".\n${last}`,
    );
  }
  if (remote?.kind === 'ssh' && needsCredential(clean)) {
    return new AtelierError('permission_denied', `${refusedKeys(host, sshKeys)}\n${last}`);
  }
  if (needsCredential(clean)) {
    return new AtelierError(
      'permission_denied',
      `${host} wants a credential for this repository, and none that it accepts was given. Add a credential for ${host}, or check that the repository exists.\n${last}`,
    );
  }
  if (cannotReach(clean)) {
    return new AtelierError(
      'unavailable',
      `${host === '' ? 'The remote' : host} cannot be reached from the environment. Check the address, and whether the host answers.\n${last}`,
    );
  }
  if (/Operation too slow/i.test(clean)) {
    return new AtelierError(
      'failed_precondition',
      `${host} accepted the connection and then sent nothing for a minute. Try again when it answers.\n${last}`,
    );
  }
  if (
    /repository '.*' not found|does not appear to be a git repository|not valid: is this a git repository/i.test(
      clean,
    )
  ) {
    return new AtelierError(
      'not_found',
      `There is no git repository at ${remote?.url ?? 'the remote'}. Correct the address.\n${last}`,
    );
  }
  return new AtelierError(
    'failed_precondition',
    `The content could not be made (exit code ${exitCode}).\n${last === '' ? 'The command said nothing.' : last}`,
  );
}

/** Which ssh keys were tried, and what to do. */
function refusedKeys(host: string, keys: FoundKeys | undefined): string {
  const instead = 'or use an https URL with a token';
  if (keys === undefined) {
    return `${host} wants an ssh key, and this runner is not your own machine, so it has none of yours. Use an https URL with a token.`;
  }
  const locked =
    keys.locked.length === 0
      ? ''
      : ` Protected by a passphrase, for which nobody can be asked here: ${keys.locked.join(', ')}.`;
  const { usable } = keys;
  if (usable.length === 0) {
    return `${host} wants an ssh key, and the user who runs Atelier has none in ~/.ssh that can be used.${locked} Make one without a passphrase (ssh-keygen -t ed25519) and add its public half at ${host}, ${instead}.`;
  }
  const tried = usable.map(({ name }) => `~/.ssh/${name}`).join(', ');
  return `${host} accepts none of the ssh keys of the user who runs Atelier (${tried}).${locked} Add the public half of one to your account there, ${instead}.`;
}

function needsCredential(stderr: string): boolean {
  return /could not read (?:Username|Password)|terminal prompts disabled|Authentication failed|Permission denied \((?:publickey|password|keyboard)|HTTP Basic: Access denied|returned error: 40[13]/i.test(
    stderr,
  );
}

function cannotReach(stderr: string): boolean {
  return /Could not resolve host|Failed to connect|Connection (?:refused|timed out|reset)|Operation timed out|Temporary failure in name resolution|Network is unreachable|early EOF|returned error: 5\d\d/i.test(
    stderr,
  );
}
