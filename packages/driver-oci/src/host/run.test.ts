import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run, tryRun } from './run.ts';

describe('a program', () => {
  it('gives what it says and its exit code', async () => {
    expect(await tryRun('sh', ['-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      exitCode: 3,
      output: 'out\n',
      errorOutput: 'err\n',
    });
  });

  it('reads its input to the end', async () => {
    const input = 'line\n'.repeat(100_000);
    expect(await run('cat', [], { input })).toBe(input);
    // One that does not read it is not waited for.
    expect(await tryRun('true', [], { input })).toMatchObject({ exitCode: 0 });
  });

  it('has no variables and no ignored signals of this process', async () => {
    expect((await run('sh', ['-c', 'pwd; env | sort'])).split('\n')).toEqual([
      '/',
      'LC_ALL=C',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'PWD=/',
      '',
    ]);
    // What writes to a reader that has gone ends, as in a shell: this process ignores that signal.
    expect(await run('sh', ['-c', '(yes; echo went on >&2) | head -n 1'])).toBe('y\n');
  });

  it('that is not there is refused with words', async () => {
    await expect(tryRun('no-such-program', [])).rejects.toMatchObject({
      code: 'failed_precondition',
      message: 'no-such-program cannot be started: install it, or see the doctor command',
    });
  });

  it('writes to a file when it is given one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'atelier-spawn-'));
    const path = join(folder, 'said');
    const file = openSync(path, 'w');
    try {
      const ended = await tryRun('sh', ['-c', 'echo out; echo err >&2'], { outputFile: file });
      expect(ended).toEqual({ exitCode: 0, output: '', errorOutput: '' });
      expect(readFileSync(path, 'utf8')).toBe('out\nerr\n');
    } finally {
      closeSync(file);
      rmSync(folder, { recursive: true });
    }
  });
});
