import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const repository = resolve(import.meta.dirname, '..');
const run = promisify(execFile);

/*
 * The launcher with an npm that installs scripts in place of Node.js and pnpm: what it decides is real, the network is
 * not needed. tools/fresh.ts tries it with the real ones.
 */
describe('the launcher', () => {
  let folder = '';
  let checkout = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'atelier-launcher-'));
    checkout = join(folder, 'checkout with space');
    mkdirSync(join(checkout, 'tools'), { recursive: true });
    for (const file of ['atelier', 'tools/bootstrap.sh', 'tools/os-packages.txt']) {
      cpSync(join(repository, file), join(checkout, file));
    }
    writeFileSync(join(checkout, 'pnpm-lock.yaml'), 'lock 1\n');
    program('npm', stubNpm);
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Writes a program into the only folder of PATH beside the system's. */
  function program(name: string, text: string): void {
    mkdirSync(join(folder, 'bin'), { recursive: true });
    writeFileSync(join(folder, 'bin', name), text);
    chmodSync(join(folder, 'bin', name), 0o755);
  }

  async function launch(args: string[], options: { via?: string; cwd?: string; path?: string } = {}) {
    const path = options.path ?? `${join(folder, 'bin')}:/usr/bin:/bin`;
    return run(options.via ?? join(checkout, 'atelier'), args, {
      cwd: options.cwd ?? folder,
      env: { PATH: path, CALLS: join(folder, 'calls') },
    });
  }

  function calls(): string[] {
    return existsSync(join(folder, 'calls'))
      ? readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')
      : [];
  }

  it('installs once, then starts the command line with arguments and working directory untouched', async () => {
    const first = await launch(['version', 'a b', '']);
    expect(first.stderr).toContain('installing Node.js');
    expect(first.stdout).toBe(`${folder}|${checkout}/packages/cli/src/main.ts|version|a b||\n`);
    const second = await launch(['version']);
    expect(second.stderr).toBe('');
    expect(calls()).toEqual(['npm install', 'npm config', 'pnpm install']);
  });

  it('works through a chain of symlinks, absolute and relative', async () => {
    symlinkSync(join(checkout, 'atelier'), join(folder, 'absolute'));
    mkdirSync(join(folder, 'deep'));
    symlinkSync('../absolute', join(folder, 'deep/relative'));
    const { stdout } = await launch(['version'], { via: join(folder, 'deep/relative'), cwd: '/' });
    expect(stdout).toBe(`/|${checkout}/packages/cli/src/main.ts|version|\n`);
  });

  it('lets two first starts at once install once', async () => {
    const both = await Promise.all([launch(['version']), launch(['version'])]);
    for (const { stdout } of both) expect(stdout).toContain('|version|');
    expect(calls().toSorted()).toEqual(['npm config', 'npm install', 'pnpm install']);
  });

  it('installs packages again when the lock file changed, and again when the last try failed', async () => {
    await launch(['version']);
    writeFileSync(join(checkout, 'pnpm-lock.yaml'), 'lock 2 broken\n');
    await expect(launch(['version'])).rejects.toMatchObject({
      code: 255,
      stderr: expect.stringContaining('pnpm could not install'),
    });
    await expect(launch(['version'])).rejects.toMatchObject({ code: 255 });
    writeFileSync(join(checkout, 'pnpm-lock.yaml'), 'lock 3\n');
    await launch(['version']);
    expect(calls().filter((call) => call === 'pnpm install')).toHaveLength(4);
  });

  it('packs the command line once, anew when a source changed, and does without where that fails', async () => {
    const sources = {
      'packages/cli/src/main.ts': 'one',
      'packages/cli/package.json': '{}',
      'packages/api/gen/a.js': '',
      'tools/bundle-cli.ts': '',
    };
    for (const [path, text] of Object.entries(sources)) {
      mkdirSync(join(checkout, path, '..'), { recursive: true });
      writeFileSync(join(checkout, path), text);
    }
    const [main, packed] = ['packages/cli/src/main.ts', 'packages/cli/dist/main.mjs'];
    const started = async () => (await launch(['version'])).stdout.split('|')[1]?.slice(checkout.length + 1);
    const packings = () => calls().filter((call) => call === 'pack').length;
    expect([await started(), await started(), packings()]).toEqual([packed, packed, 1]);
    writeFileSync(join(checkout, main), 'two');
    // A date that somebody set back hides nothing.
    utimesSync(join(checkout, main), 1, 1);
    expect([await started(), packings()]).toEqual([packed, 2]);
    writeFileSync(join(checkout, 'packages/cli/src/new.ts'), '');
    expect([await started(), packings()]).toEqual([packed, 3]);
    rmSync(join(checkout, 'packages/cli/src/new.ts'));
    writeFileSync(join(checkout, main), 'broken');
    expect([await started(), await started()]).toEqual([main, main]);
    writeFileSync(join(checkout, main), 'mended');
    expect([await started(), packings()]).toEqual([packed, 6]);
  });

  it('says what to do when npm is missing', async () => {
    const system = join(folder, 'system');
    mkdirSync(system);
    for (const name of ['sh', 'dirname', 'readlink', 'mkdir', 'flock', 'uname', 'cmp']) {
      symlinkSync(
        execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(),
        join(system, name),
      );
    }
    const refused = expect.objectContaining({
      code: 255,
      stderr: expect.stringContaining('apt-get install npm'),
    });
    await expect(launch(['version'], { path: system })).rejects.toEqual(refused);
  });

  it('names missing Debian packages with the command, once, when it may not install them', async () => {
    program('id', '#!/bin/sh\necho 1000\n');
    program('dpkg-query', '#!/bin/sh\nprintf "installed:%s " crun git\n');
    const first = await launch(['up']);
    expect(first.stderr).toMatch(
      /only root can install them: apt-get install --no-install-recommends ca-certificates buildah/,
    );
    expect(first.stderr).not.toMatch(/ crun |postgresql/);
    expect((await launch(['up'])).stderr).toBe('');
    expect((await launch(['daemon', 'status'])).stderr).toBe('');
  });
});

const stubNpm = `#!/bin/sh
echo "npm $1" >>"$CALLS"
[ "$1" = install ] || exit 0
bin=$3/node_modules/.bin
mkdir -p "$bin"
cat >"$bin/node" <<'END'
#!/bin/sh
case $1 in
  */tools/bundle-cli.ts)
    echo pack >>"$CALLS"
    cli=\${1%/tools/*}/packages/cli
    mkdir -p "$cli/dist"
    ! grep -q broken "$cli/src/main.ts" && touch "$cli/dist/main.mjs"
    exit ;;
esac
printf '%s|' "$PWD" "$@"
echo
END
cat >"$bin/pnpm" <<'END'
#!/bin/sh
echo "pnpm $1" >>"$CALLS"
mkdir -p node_modules
! grep -q broken pnpm-lock.yaml
END
chmod +x "$bin/node" "$bin/pnpm"
`;
