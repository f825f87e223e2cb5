/** A clone as commands: what runs in the throw-away instance, with which variables, in which order. */
import type { EnvironmentSpec_Content } from '@atelier/api/gitpod/environment';
import type { CloneTarget, ContentSource } from './source.ts';
import { sshCommand, type FoundKeys } from './ssh-keys.ts';
import { fetchArguments, listArguments, type Submodule } from './submodules.ts';

/** One command in the throw-away instance. */
export interface ContentCommand {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** The command may fail and the next one is run all the same. */
  readonly optional?: boolean;
}

/** Where a file remote or a local folder is seen in the throw-away instance. */
export const sourceMount = '/mnt/atelier-source';

/** How long a remote may be silent in the middle of a clone. */
const silenceSeconds = 60;

const helper =
  '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$ATELIER_GIT_USERNAME" "$ATELIER_GIT_PASSWORD"; }; f';

/** What the throw-away instance of a clone sees of this machine. */
export interface SeenMachine {
  /** The real path of what stands at `sourceMount`; undefined for a remote on the network. */
  readonly hostFolder: string | undefined;
  /** Keys for an ssh remote; undefined for other remotes, and where the runner is not the user's own. */
  readonly sshKeys: FoundKeys | undefined;
}

/** A clone: its commands, and then those for what may be missing. */
export interface Clone {
  readonly commands: readonly ContentCommand[];
  /** Prints the submodules that the clone has; see `submodules.ts`. */
  readonly listSubmodules: ContentCommand;
  readonly fetchSubmodule: (submodule: Submodule) => ContentCommand;
}

/** The clone of a git source into the working directory, which is empty. */
export function cloneOf(
  source: Extract<ContentSource, { kind: 'git' }>,
  content: Pick<EnvironmentSpec_Content, 'gitUsername' | 'gitEmail'>,
  seen: SeenMachine,
): Clone {
  const { remote } = source;
  const plain = gitEnvironment([]);
  const reaching = reachingEnvironment(source, seen);
  const git = (environment: Record<string, string>, ...words: string[]): ContentCommand => ({
    arguments: ['git', ...words],
    environment,
  });
  const commands = checkoutCommands(source.target, remote.url, reaching, plain, git);
  if (source.upstreamUrl !== undefined) {
    commands.push(git(plain, 'remote', 'add', 'upstream', source.upstreamUrl));
  }
  return {
    commands: [...commands, ...authorCommands(content)],
    listSubmodules: { arguments: listArguments, environment: plain },
    fetchSubmodule: ({ name, path, url }) => ({
      arguments: fetchArguments(path),
      environment: {
        // Git replaces the beginning of URLs only, not of the plain paths that people write as well.
        ...(url.startsWith('/')
          ? withConfiguration(reaching, `submodule.${name}.url`, `file://${url}`)
          : reaching),
        GIT_LITERAL_PATHSPECS: '1',
      },
    }),
  };
}

/** The commands that name the author of commits in a repository, if there is one in the working directory. */
export function authorCommands(
  content: Pick<EnvironmentSpec_Content, 'gitUsername' | 'gitEmail'>,
): ContentCommand[] {
  const environment = gitEnvironment([]);
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
  reaching: Record<string, string>,
  plain: Record<string, string>,
  git: (environment: Record<string, string>, ...words: string[]) => ContentCommand,
): ContentCommand[] {
  const clone = (...options: string[]): ContentCommand =>
    git(reaching, 'clone', '--progress', ...options, '--', url, '.');
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
        { ...git(reaching, 'fetch', 'origin', target.name), optional: true },
        git(plain, 'checkout', '--detach', target.name),
      ];
  }
}

/**
 * Variables for a command that talks to the remote. Its credential is there for its own host only, and a folder
 * of this machine is found where it is mounted, under its own name too: that is what submodules in it have.
 */
function reachingEnvironment(
  { remote }: Extract<ContentSource, { kind: 'git' }>,
  { hostFolder, sshKeys }: SeenMachine,
): Record<string, string> {
  const { credential, url, path } = remote;
  if (remote.kind === 'file') {
    const names = [...new Set([path, hostFolder ?? path])];
    return gitEnvironment(names.map((name) => [`url.file://${sourceMount}.insteadOf`, `file://${name}`]));
  }
  if (credential === undefined) {
    return {
      ...gitEnvironment([]),
      GIT_SSH_COMMAND: sshCommand(remote.kind === 'ssh' ? sshKeys : undefined),
    };
  }
  const { origin } = new URL(url);
  return {
    ...gitEnvironment([[`credential.${origin}.helper`, helper]]),
    GIT_SSH_COMMAND: sshCommand(undefined),
    ATELIER_GIT_USERNAME: credential.username,
    ATELIER_GIT_PASSWORD: credential.password,
  };
}

function gitEnvironment(configuration: readonly (readonly [string, string])[]): Record<string, string> {
  const entries: (readonly [string, string])[] = [
    // The mounted repository belongs to somebody else as the instance sees it.
    ['safe.directory', '*'],
    ['credential.helper', ''],
    // Submodules of a file remote are file remotes.
    ['protocol.file.allow', 'always'],
    ...configuration,
  ];
  const variables: Record<string, string> = {
    GIT_CONFIG_COUNT: '0',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'http:https:ssh:file',
    // A server that sends nothing at all for so long does not prepare anything any more.
    GIT_HTTP_LOW_SPEED_LIMIT: '1',
    GIT_HTTP_LOW_SPEED_TIME: String(silenceSeconds),
    LC_ALL: 'C',
  };
  return entries.reduce((all, [key, value]) => withConfiguration(all, key, value), variables);
}

/** The variables with one more value of git's configuration, which goes before those of the repository. */
function withConfiguration(
  variables: Readonly<Record<string, string>>,
  key: string,
  value: string,
): Record<string, string> {
  const count = Number(variables['GIT_CONFIG_COUNT']);
  return {
    ...variables,
    GIT_CONFIG_COUNT: String(count + 1),
    [`GIT_CONFIG_KEY_${count}`]: key,
    [`GIT_CONFIG_VALUE_${count}`]: value,
  };
}
