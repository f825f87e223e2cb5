/** What a failed clone says to a person: git's last words without credentials, and what to do. */
import { AtelierError } from '@atelier/api';
import type { GitRemote } from './remote.ts';

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
  if (needsCredential(clean)) {
    return new AtelierError(
      'permission_denied',
      `${host} wants a credential for this repository, and none that it accepts was given. Add a credential for ${host}, or check that the repository exists.\n${last}`,
    );
  }
  if (cannotReach(clean)) {
    return new AtelierError(
      'unavailable',
      `${host === '' ? 'The remote' : host} cannot be reached from the environment. It is tried again.\n${last}`,
    );
  }
  return new AtelierError(
    'failed_precondition',
    `The content could not be made (exit code ${exitCode}).\n${last === '' ? 'The command said nothing.' : last}`,
  );
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
