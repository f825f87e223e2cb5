import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeAtelier, type Atelier } from './atelier.ts';
import { devcontainer, makeRepository } from './repository.ts';

/** Exit code of a command that misses a precondition. */
const failedPrecondition = 7;
const nobody = 65_534;

const environment = async (atelier: Atelier, name: string) => {
  const folder = makeRepository(join(atelier.folder, name), devcontainer({}));
  const { code, stderr } = await atelier.run('up', folder);
  expect(code, stderr).toBe(0);
};

const conditions = async (atelier: Atelier): Promise<Record<string, string>> => {
  const report = JSON.parse(await atelier.ok('doctor', '-o', 'json')) as {
    conditions: { key: string; value: string }[];
  };
  return Object.fromEntries(report.conditions.map(({ key, value }) => [key, value]));
};

describeAtelier('doctor beside a daemon', (atelier) => {
  it('looks at the machine while environments run, also twice at once, and changes nothing', async () => {
    await environment(atelier(), 'looked-at');
    const boot = (await atelier().status('looked-at')).status?.detail?.boot;
    const before = seen(atelier());
    const both = await Promise.all([atelier().run('doctor'), atelier().run('doctor')]);
    for (const { code, stdout, stderr } of both) {
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/^daemon +http.*\(process \d+/m);
      expect(stdout).toMatch(/^environments +1 on this disk$/m);
      expect(stdout).toMatch(/^userNamespaces +yes$/m);
    }
    expect(seen(atelier())).toEqual(before);
    expect((await atelier().status('looked-at')).status?.detail?.boot).toBe(boot);
    expect(await atelier().leftovers()).toEqual([]);
    // The daemon's forwarder still answers: a name that nobody has is an answer too, a dead forwarder is none.
    expect(await atelier().inside('looked-at', 'getent hosts no-such-name.invalid; echo $?')).toBe('2');
  });
});

/** What a probe might leave in the home and in the folder of this boot. */
function seen({ home }: Atelier): string[] {
  const folders = ['', 'runner', 'storage', 'runner/environments'].map((part) => join(home, part));
  const links = execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' }).match(/^at\S+/gm) ?? [];
  return [...folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name))), ...links]
    .filter((name) => !/daemon\.log|locks|ledger\.json\./.test(name))
    .toSorted();
}

describeAtelier('inheritance from the host', (atelier) => {
  const proxies = { http_proxy: 'http://10.9.8.7:3128', NO_PROXY: 'example.test' };
  const variables = Object.fromEntries(
    ['https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [
      [name, ''],
      [name.toUpperCase(), ''],
    ]),
  );
  const script =
    'env | grep -iE "^(http_proxy|no_proxy|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS)=" | sort; ls -d /opt/atelier-host 2>/dev/null; cat /built 2>/dev/null';
  const build = (name: string) =>
    makeRepository(join(atelier().folder, name), {
      Dockerfile: `FROM localhost/atelier/base\nRUN : ${name}; env | grep -iE "^(http_proxy|SSL_CERT_FILE)=" | sort > /built || true\n`,
      '.devcontainer/devcontainer.json': '{ "build": { "dockerfile": "../Dockerfile", "context": ".." } }',
    });
  const restart = async (...options: string[]) => {
    await atelier().ok('daemon', 'stop');
    const { ended } = atelier().begin(['daemon', 'start', ...options], {
      variables: { ...variables, HTTP_PROXY: '', ...proxies },
    });
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(0);
  };
  const up = async (name: string, folder: string) => {
    const { code, stderr } = await atelier().run('up', '--name', name, folder);
    expect(code, stderr).toBe(0);
  };

  it('reaches environments and builds, and none of it when it is switched off, until it is switched on', async () => {
    await restart();
    await up('open', build('first'));
    const seenInside = await atelier().inside('open', script);
    const { inheritance = '' } = await conditions(atelier());
    for (const line of [
      'HTTP_PROXY=http://10.9.8.7:3128',
      'NO_PROXY=example.test',
      'no_proxy=example.test',
    ]) {
      expect(seenInside.split('\n')).toContain(line);
    }
    // Of the build: the last lines.
    expect(seenInside).toMatch(/http_proxy=http:\/\/10\.9\.8\.7:3128$/);
    // Whether this machine has certificate authorities of its own is not ours to arrange.
    expect(seenInside.includes('SSL_CERT_FILE=/opt/atelier-host/')).toBe(inheritance.includes('are trusted'));

    await restart('--no-inherit-host');
    await up('closed', build('second'));
    expect(await atelier().inside('closed', script)).toBe('');
    expect(await atelier().ok('daemon', 'status')).toMatch(/^inherits +nothing of this machine/m);
    expect((await conditions(atelier()))['inheritance']).toContain('switched off');

    // Kept by whoever starts the daemon next, and taken back only when somebody says so.
    await restart();
    expect((await conditions(atelier()))['inheritance']).toContain('switched off');
    await atelier().ok('stop', 'open');
    await atelier().ok('start', 'open');
    expect(await atelier().inside('open', 'env | grep -i _proxy= || true')).toBe('');
    await restart('--inherit-host');
    await atelier().ok('stop', 'closed');
    await atelier().ok('start', 'closed');
    expect(await atelier().inside('closed', 'echo $http_proxy')).toBe(proxies.http_proxy);
    const again = await atelier().run('daemon', 'start', '--no-inherit-host');
    expect(again.stderr).toContain('running already, without --no-inherit-host: "atelier daemon stop" first');
  });
});

describeAtelier('somebody who is not root', (atelier) => {
  const asNobody = async (...words: string[]) => {
    const home = join(atelier().folder, 'nobody');
    mkdirSync(home, { recursive: true });
    chownSync(home, nobody, nobody);
    const { ended } = atelier().beginAs(nobody, words, {
      input: '',
      workingFolder: home,
      variables: { ATELIER_HOME: join(home, 'home'), HOME: home },
    });
    return ended;
  };
  const advice = /the oci driver makes namespaces.*only root may: run atelier as root, for example with sudo/;

  it('is told by doctor and up what is missing, and can try the simulated driver', async () => {
    for (const words of [['doctor'], ['up', '.'], ['daemon', 'start']]) {
      const { code, stderr } = await asNobody(...words);
      expect(stderr).toMatch(advice);
      expect(stderr).not.toContain('EACCES');
      expect(code).toBe(failedPrecondition);
    }
    try {
      const { code, stderr } = await asNobody('daemon', 'start', '--driver', 'simulated');
      expect(code, stderr).toBe(0);
      expect((await asNobody('doctor')).code).toBe(0);
    } finally {
      await asNobody('daemon', 'stop');
    }
  });
});
