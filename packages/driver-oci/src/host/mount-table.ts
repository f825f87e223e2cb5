/** What is mounted, read from the kernel: nothing about mounts is remembered. */
import { readFileSync } from 'node:fs';

/** One line of the mount table. */
export interface MountEntry {
  readonly mountPoint: string;
  /** File system type such as `overlay`, `nsfs` or `cgroup2`. */
  readonly type: string;
  /** Path inside the file system that is shown, such as `net:[4026532000]` for a namespace. */
  readonly root: string;
  /** Options of the file system, such as the controllers of a cgroup hierarchy. */
  readonly options: readonly string[];
}

/** Takes the text of `/proc/self/mountinfo` apart. */
export function parseMountTable(text: string): MountEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = line.split(' ');
      const [type = '', , options = ''] = fields.slice(fields.indexOf('-') + 1);
      return {
        root: unescape(fields[3] ?? ''),
        mountPoint: unescape(fields[4] ?? ''),
        type,
        options: options.split(','),
      };
    });
}

/** The mounts that a process sees, this one by default, oldest first. */
export function readMountTable(process: number | 'self' = 'self'): MountEntry[] {
  return parseMountTable(readFileSync(`/proc/${process}/mountinfo`, 'utf8'));
}

/** Mount points below a folder, newest first, so that they can be taken away in this order. */
export function mountsBelow(folder: string): string[] {
  return readMountTable()
    .map((entry) => entry.mountPoint)
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .reverse();
}

function unescape(text: string): string {
  return text.replaceAll(/\\(\d{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
