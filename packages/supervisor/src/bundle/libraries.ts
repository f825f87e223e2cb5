/** Shared libraries of programs, as this machine's own loader finds them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AtelierError } from '@atelier/api';

const run = promisify(execFile);

/** Absolute paths of all libraries that the files need, the loader among them, each once. */
export async function librariesOf(files: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const file of files) {
    const { stdout } = await run('ldd', [file], { env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' } });
    for (const line of stdout.split('\n')) {
      if (/=>\s+not found/.test(line)) {
        throw new AtelierError('failed_precondition', `${file} lacks a library here: ${line.trim()}`);
      }
      const path = /(?:=>\s+)?(\/\S+)\s+\(0x/.exec(line)?.[1];
      if (path !== undefined) found.add(path);
    }
  }
  return [...found].sort();
}
