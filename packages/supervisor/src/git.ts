/** Git status of the workspace. Git runs as the user: hooks and fsmonitor of a repository reach nobody else. */
import { create } from '@bufbuild/protobuf';
import {
  EnvironmentGitStatusSchema,
  FileChangeSchema,
  FileChange_ChangeType as ChangeType,
  type EnvironmentGitStatus,
  type FileChange,
} from '@atelier/api/gitpod/git_status';
import type { CommandSurroundings } from './lifecycle.ts';
import type { Machine } from './machine.ts';
import { collectCommand } from './processes/command.ts';

/** Entries of each list, of the public API: one more than is shown, so that "and more" can be said. */
const entriesMax = 101;
const pathLengthMax = 255;
const outputBytesMax = 4 * 1024 * 1024;
const timeoutMs = 20_000;

/** Reads the status of the repository in the working directory; undefined without git, or without a repository. */
export async function readGitStatus(
  machine: Machine,
  surroundings: CommandSurroundings,
): Promise<EnvironmentGitStatus | undefined> {
  const git = async (...parameters: string[]): Promise<string | undefined> => {
    const environment = {
      ...surroundings.environment,
      GIT_OPTIONAL_LOCKS: '0',
      GIT_TERMINAL_PROMPT: '0',
      LC_ALL: 'C',
    };
    const launch = { ...surroundings, environment, arguments: ['git', ...parameters] };
    const result = await collectCommand(machine, launch, { bytesMax: outputBytesMax, timeoutMs });
    return result.exitCode === 0 ? result.stdout.toString('utf8') : undefined;
  };
  const text = await git('status', '--porcelain=v2', '--branch', '-z');
  if (text === undefined) return undefined;
  const status = parseGitStatus(text);
  const range = status.hasUpstream ? ['@{upstream}..HEAD'] : ['HEAD', '--not', '--remotes'];
  if (status.message.latestCommit !== '') {
    const [count, subjects] = [
      await git('rev-list', '--count', ...range),
      await git('log', `--max-count=${entriesMax}`, '--format=%h %s', ...range),
    ];
    status.message.totalUnpushedCommits = Number(count ?? 0) || 0;
    status.message.unpushedCommits = (subjects ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.slice(0, pathLengthMax));
  }
  status.message.cloneUrl = withoutCredentials(
    (await git('config', '--get', 'remote.origin.url'))?.trim() ?? '',
  );
  return status.message;
}

/** Takes the output of `git status --porcelain=v2 --branch -z` apart. */
export function parseGitStatus(text: string): { message: EnvironmentGitStatus; hasUpstream: boolean } {
  const message = create(EnvironmentGitStatusSchema);
  let hasUpstream = false;
  const records = text.split('\0');
  for (let index = 0; index < records.length; index += 1) {
    const record = records[index] ?? '';
    if (record.startsWith('# ')) {
      const [, key, ...value] = record.split(' ');
      if (key === 'branch.oid' && value[0] !== '(initial)') message.latestCommit = value[0] ?? '';
      if (key === 'branch.head') message.branch = value.join(' ');
      if (key === 'branch.upstream') hasUpstream = true;
      continue;
    }
    const change = changeOf(record, records[index + 1] ?? '');
    if (record.startsWith('2 ')) index += 1;
    if (!change) continue;
    message.totalChangedFiles += 1;
    if (message.changedFiles.length < entriesMax) message.changedFiles.push(change);
  }
  return { message, hasUpstream };
}

function changeOf(record: string, next: string): FileChange | undefined {
  const fields = record.split(' ');
  const states = fields[1] ?? '';
  const change = (changeType: ChangeType, path: string, oldPath = ''): FileChange =>
    create(FileChangeSchema, {
      changeType,
      path: path.slice(0, pathLengthMax),
      oldPath: oldPath.slice(0, pathLengthMax),
    });
  switch (fields[0]) {
    case '1':
      return change(ordinaryType(states), fields.slice(8).join(' '));
    case '2':
      return change(
        fields[8]?.startsWith('C') ? ChangeType.COPIED : ChangeType.RENAMED,
        fields.slice(9).join(' '),
        next,
      );
    case 'u':
      return change(ChangeType.UPDATED_BUT_UNMERGED, fields.slice(10).join(' '));
    case '?':
      return change(ChangeType.UNTRACKED, record.slice(2));
    default:
      return undefined;
  }
}

function ordinaryType(states: string): ChangeType {
  if (states.includes('D')) return ChangeType.DELETED;
  return states.startsWith('A') ? ChangeType.ADDED : ChangeType.MODIFIED;
}

/** A remote as it may be shown: a password or token in an address is nobody's business. */
function withoutCredentials(remote: string): string {
  return remote.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}
