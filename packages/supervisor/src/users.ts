/** Users of the image, read from its files by ourselves: its NSS modules must not be loaded by our C library. */
import { readFileSync } from 'node:fs';
import type { Machine } from './machine.ts';

/** Somebody that a process can run as. */
export interface User {
  readonly name: string;
  readonly userId: number;
  readonly groupId: number;
  /** Supplementary groups, without `groupId`. */
  readonly groups: readonly number[];
  readonly home: string;
  /** The login shell of passwd; empty when it names none. */
  readonly shell: string;
}

const fileBytesMax = 4 * 1024 * 1024;

interface PasswdEntry {
  readonly name: string;
  readonly userId: number;
  readonly groupId: number;
  readonly home: string;
  readonly shell: string;
}

interface GroupEntry {
  readonly name: string;
  readonly groupId: number;
  readonly members: readonly string[];
}

/**
 * Finds the user that `text` means: a name or number, optionally `user:group`; empty means root. A number
 * that passwd does not know has group 0 and the home `/`. Answers a failure for a person otherwise.
 */
export function resolveUser(
  machine: Pick<Machine, 'passwdPath' | 'groupPath'>,
  text: string,
): User | { readonly failure: string } {
  const separator = text.indexOf(':');
  const userText = (separator < 0 ? text : text.slice(0, separator)) || 'root';
  const groupText = separator < 0 ? '' : text.slice(separator + 1);
  const entries = parsePasswd(readText(machine.passwdPath));
  const groups = parseGroup(readText(machine.groupPath));
  const entry = findUser(entries, userText);
  if (!entry) {
    return { failure: `There is no user ${JSON.stringify(userText)} in ${machine.passwdPath} of the image.` };
  }
  let { groupId } = entry;
  if (groupText !== '') {
    const group = groups.find((each) => each.name === groupText || String(each.groupId) === groupText);
    if (!group && !isNumber(groupText)) {
      return {
        failure: `There is no group ${JSON.stringify(groupText)} in ${machine.groupPath} of the image.`,
      };
    }
    groupId = group?.groupId ?? Number(groupText);
  }
  const supplementary = groups
    .filter((each) => each.members.includes(entry.name))
    .map((each) => each.groupId);
  return {
    ...entry,
    groupId,
    groups: [...new Set(supplementary)].filter((each) => each !== groupId).slice(0, 1000),
  };
}

function findUser(entries: readonly PasswdEntry[], text: string): PasswdEntry | undefined {
  const known = entries.find((each) => each.name === text || String(each.userId) === text);
  if (known) return known;
  if (text === 'root') return { name: 'root', userId: 0, groupId: 0, home: '/root', shell: '' };
  if (!isNumber(text)) return undefined;
  return { name: text, userId: Number(text), groupId: 0, home: '/', shell: '' };
}

// The kernel keeps the highest number for "no change".
function isNumber(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) < 0xffff_ffff;
}

function parsePasswd(text: string): PasswdEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name, , userId, groupId, , home, shell] = line.split(':');
    if (!name || !isNumber(userId ?? '') || !isNumber(groupId ?? '')) return [];
    return [
      {
        name,
        userId: Number(userId),
        groupId: Number(groupId),
        home: home || '/',
        shell: shell?.trim() ?? '',
      },
    ];
  });
}

function parseGroup(text: string): GroupEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name, , groupId, members] = line.split(':');
    if (!name || !isNumber(groupId ?? '')) return [];
    const names = (members ?? '').split(',').map((member) => member.trim());
    return [{ name, groupId: Number(groupId), members: names }];
  });
}

// An image without these files has root and numbers.
function readText(path: string): string {
  try {
    const bytes = readFileSync(path);
    return bytes.length > fileBytesMax ? '' : bytes.toString('utf8');
  } catch {
    return '';
  }
}
