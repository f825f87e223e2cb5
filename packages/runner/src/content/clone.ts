/** A clone as commands: what runs in the throw-away instance, with which variables, in which order. */
import type { EnvironmentSpec_Content } from '@atelier/api/gitpod/environment';
import type { CloneTarget, ContentSource } from './source.ts';

/** One command in the throw-away instance. */
export interface ContentCommand {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** The command may fail and the next one is run all the same. */
  readonly optional?: boolean;
}

/** Where a file remote or a local folder is seen in the throw-away instance. */
export const sourceMount = '/mnt/atelier-source';

const helper =
  '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$ATELIER_GIT_USERNAME" "$ATELIER_GIT_PASSWORD"; }; f';

/** The commands that clone a git source into the working directory, which is empty. */
export function cloneCommands(
  source: Extract<ContentSource, { kind: 'git' }>,
  content: Pick<EnvironmentSpec_Content, 'gitUsername' | 'gitEmail'>,
): ContentCommand[] {
  const { remote } = source;
  const url = remote.kind === 'file' ? `file://${sourceMount}` : remote.url;
  const plain = gitEnvironment({});
  const withCredential = credentialEnvironment(source);
  const git = (environment: Record<string, string>, ...words: string[]): ContentCommand => ({
    arguments: ['git', ...words],
    environment,
  });
  const commands = [
    ...checkoutCommands(source.target, url, withCredential, plain, git),
    git(withCredential, 'submodule', 'update', '--init', '--recursive', '--progress'),
  ];
  if (remote.kind === 'file') commands.push(git(plain, 'remote', 'set-url', 'origin', remote.url));
  if (source.upstreamUrl !== undefined) {
    commands.push(git(plain, 'remote', 'add', 'upstream', source.upstreamUrl));
  }
  return [...commands, ...authorCommands(content)];
}

/** The commands that name the author of commits in a repository, if there is one in the working directory. */
export function authorCommands(
  content: Pick<EnvironmentSpec_Content, 'gitUsername' | 'gitEmail'>,
): ContentCommand[] {
  const environment = gitEnvironment({});
  return (
    [
      ['user.name', content.gitUsername],
      ['user.email', content.gitEmail],
    ] as const
  )
    .filter(([, value]) => value !== '')
    .map(([key, value]) => ({
      arguments: ['git', 'config', '--local', key, value],
      environment,
      optional: true,
    }));
}

/**
 * The command that copies a folder, ignored files included, without the folder `excludedPath` (relative,
 * empty: nothing is left out), into the working directory.
 */
export function copyCommand(excludedPath: string): ContentCommand {
  // The status of the reading tar would be lost in the pipe; 1 means that a file changed meanwhile.
  const script = [
    'excluded=$1; set --',
    'test -z "$excluded" || set -- --anchored --no-wildcards "--exclude=./$excluded"',
    `status=$({ { tar --numeric-owner "$@" -C ${sourceMount} -cf - . ; echo $? >&3; } | tar --numeric-owner -xpf - >&2; } 3>&1)`,
    'test "$status" -le 1',
  ].join('\n');
  return { arguments: ['/bin/sh', '-c', script, 'copy', excludedPath], environment: { LC_ALL: 'C' } };
}

function checkoutCommands(
  target: CloneTarget,
  url: string,
  withCredential: Record<string, string>,
  plain: Record<string, string>,
  git: (environment: Record<string, string>, ...words: string[]) => ContentCommand,
): ContentCommand[] {
  const clone = (...options: string[]): ContentCommand =>
    git(withCredential, 'clone', '--progress', ...options, '--', url, '.');
  switch (target.kind) {
    case 'head':
      return [clone()];
    case 'branch':
      return [clone(`--branch=${target.name}`)];
    case 'local-branch':
      return [clone(), git(plain, 'checkout', '--no-track', '-B', target.name)];
    case 'tag':
      return [clone('--no-checkout'), git(plain, 'checkout', '--detach', `refs/tags/${target.name}`)];
    case 'commit':
      return [
        clone('--no-checkout'),
        // A commit that no branch reaches is not in a clone; many servers give it when it is asked for.
        { ...git(withCredential, 'fetch', 'origin', target.name), optional: true },
        git(plain, 'checkout', '--detach', target.name),
      ];
  }
}

/** Variables for a command that talks to the remote: the credential is there and for its host only. */
function credentialEnvironment(source: Extract<ContentSource, { kind: 'git' }>): Record<string, string> {
  const { credential, url } = source.remote;
  if (credential === undefined) return gitEnvironment({});
  const origin = new URL(url).origin;
  return {
    ...gitEnvironment({ [`credential.${origin}.helper`]: helper }),
    ATELIER_GIT_USERNAME: credential.username,
    ATELIER_GIT_PASSWORD: credential.password,
  };
}

function gitEnvironment(configuration: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries({
    // The mounted repository belongs to somebody else as the instance sees it.
    'safe.directory': '*',
    'credential.helper': '',
    // Submodules of a file remote are file remotes.
    'protocol.file.allow': 'always',
    ...configuration,
  });
  const variables: Record<string, string> = {
    GIT_CONFIG_COUNT: String(entries.length),
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'http:https:ssh:file',
    GIT_SSH_COMMAND:
      'ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/tmp/atelier-known-hosts -o ConnectTimeout=20',
    LC_ALL: 'C',
  };
  for (const [index, [key, value]] of entries.entries()) {
    variables[`GIT_CONFIG_KEY_${index}`] = key;
    variables[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  return variables;
}
