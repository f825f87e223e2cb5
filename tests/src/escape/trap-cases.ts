/** What somebody inside leaves lying about for programs of the host: links, pipes and set-user-id programs. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Atelier } from '../atelier.ts';
import type { Scene } from './scene.ts';
import { mountPoints, victimFolder } from './traps.ts';

const secretText = 'a secret of the host';

/** Declares the cases. */
export function trapCases(atelier: () => Atelier, scene: () => Scene): void {
  describe('set-user-id programs of root inside', () => {
    const reachable = (files: readonly string[]): string[] => {
      const look = 'for file; do [ -x "$file" ] && echo "$file"; done; true';
      const words = ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', look, 'sh', ...files];
      return execFileSync('setpriv', words, { encoding: 'utf8' }).split('\n').filter(Boolean);
    };

    it('are out of reach of the users of the host', async () => {
      await atelier().inside(
        'attacker',
        'for at in / ./; do cp /usr/bin/id ${at}planted && chmod 4755 ${at}planted; done',
      );
      const find = ['-xdev', '-type', 'f', '-perm', '-4000'];
      const found = execFileSync('find', [atelier().home, ...find], { encoding: 'utf8' })
        .split('\n')
        .filter(Boolean);
      expect(found.filter((file) => file.endsWith('/planted'))).toHaveLength(2);
      expect(found.some((file) => file.includes('/storage/'))).toBe(true);
      expect(reachable(found)).toEqual([]);
    });

    it('are in reach where the folder above is open, as the control', () => {
      const folder = join(atelier().folder, 'open');
      mkdirSync(folder);
      copyFileSync('/usr/bin/id', join(folder, 'planted'));
      chmodSync(join(folder, 'planted'), 0o4755);
      expect(reachable([join(folder, 'planted')])).toHaveLength(1);
    });
  });

  describe('links and pipes', () => {
    const victim = (): string => victimFolder(atelier());
    const entries = (): string[] => readdirSync(victim(), { recursive: true, encoding: 'utf8' }).toSorted();
    const before = ['kept', ...mountPoints.flatMap((point) => [point.split('/')[0] ?? '', point])];

    it('at the places of mounts lead nothing to the host', async () => {
      expect(await atelier().inside('other', `readlink /opt/atelier; ls ${victim()}/opt/atelier`)).toMatch(
        /victim\/opt\/atelier\n[^]*supervisor\.js/,
      );
      expect(entries()).toEqual([...new Set(before)].toSorted());
    });

    it('there would lead a program of the host that makes folders, as the control', () => {
      const root = join(atelier().folder, 'root-of-control');
      mkdirSync(root);
      const elsewhere = join(atelier().folder, 'victim-of-control');
      mkdirSync(elsewhere);
      symlinkSync(elsewhere, join(root, 'workspaces'));
      mkdirSync(join(root, 'workspaces/other'), { recursive: true });
      expect(readdirSync(elsewhere)).toEqual(['other']);
    });

    const rounds = [
      ['.devcontainer/devcontainer.json', '.gitpod/automations.yaml'],
      ['.devcontainer/Dockerfile', '.gitpod/automations.yaml'],
    ];
    const kinds = ['link', 'pipe'] as const;
    it.each(kinds.flatMap((kind) => rounds.map((files) => ({ kind, files }))))(
      'of kind $kind at $files show nothing of the host and hold nothing up',
      async ({ kind, files }) => {
        const { id } = await atelier().status('other');
        const workspace = join(atelier().home, 'runner/environments', id, 'workspace');
        const { secret = '' } = scene().facts;
        const make = (file: string): string =>
          kind === 'link' ? `ln -s ${secret} ${file}` : `mkfifo ${file}`;
        const plant = files.map((file) => `rm -f ${file}; ${make(file)}`).join('; ');
        await atelier().inside('other', `mkdir -p .gitpod; ${plant}`);
        for (const file of files) {
          // What a program of the host would meet there.
          const path = join(workspace, file);
          if (kind === 'link') expect(readFileSync(path, 'utf8'), 'blind').toBe(secretText);
          else expect(lstatSync(path).isFIFO(), 'blind').toBe(true);
        }
        const folder = join(atelier().folder, 'other');
        const { stdout, stderr } = await atelier().run('up', '--rebuild', '--name', 'other', folder);
        const said = stdout + stderr + (await atelier().ok('status', 'other', '-o', 'json'));
        expect(said).not.toContain(secretText);
        expect(said).toMatch(/devcontainer\.json|Dockerfile/);
        expect(
          await atelier().inside('other', `rm -f ${files.join(' ')}; git checkout -q . && echo alive`),
        ).toBe('alive');
      },
    );

    it('are deleted, and not what they lead to', async () => {
      await atelier().inside(
        'other',
        `ln -s ${victim()} link; ln -s ${victim()} /link; ln -s ${victim()}/kept file`,
      );
      const { id } = await atelier().status('other');
      const workspace = join(atelier().home, 'runner/environments', id, 'workspace');
      expect(existsSync(join(workspace, 'link/kept')), 'blind: the link leads nowhere').toBe(true);
      await atelier().ok('delete', 'other');
      expect(existsSync(workspace)).toBe(false);
      expect(entries()).toEqual([...new Set(before)].toSorted());
    });
  });
}
