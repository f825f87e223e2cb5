import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { NetworkPolicy } from '@atelier/driver';
import { findNamespaces } from '../host/namespaces.ts';
import { describePlace } from '../test-place.ts';
import { linkName, readAttachment, requireOurLink } from './attachments.ts';
import { hostResolvers } from './resolver.ts';

const internet = { egress: 'internet', privateRanges: false } as const;
const office = { egress: 'none', privateRanges: true } as const;
const everything = { egress: 'internet', privateRanges: true } as const;
const nothing = { egress: 'none', privateRanges: false } as const;
const refused = /Connection refused/;
const waiting = { timeout: 10_000, interval: 20 };

/** A machine outside: a network namespace with a public and a private address (both from documentation or unused). */
const outside = { link: 'atoutside', public: '198.51.100.77', private: '10.254.254.77' };
const serve = 'while :; do /bin/busybox nc -l -p 80 -e /bin/sh -c "echo served"; done';

describePlace('a network', (place) => {
  let machine: ChildProcess;

  beforeEach(async () => {
    machine = spawn(
      'unshare',
      ['--net', '/bin/busybox', 'sh', '-c', `ip link set lo up; echo up; ${serve}`],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
        detached: true,
      },
    );
    if (machine.stdout) await once(machine.stdout, 'data');
    const { link } = outside;
    ip(`link add ${link} type veth peer name eth0 netns ${machine.pid}`);
    ip(
      `address add 198.51.100.1/24 dev ${link}`,
      `link set ${link} up`,
      `route add ${outside.private} dev ${link}`,
    );
    const inMachine = ['--target', String(machine.pid), '--net', 'ip', '-batch', '-'];
    execFileSync('nsenter', inMachine, {
      input: [
        `address add ${outside.public}/24 dev eth0`,
        `address add ${outside.private}/32 dev eth0`,
        'link set eth0 up',
        '',
      ].join('\n'),
    });
  });

  afterEach(async () => {
    const closed = once(machine, 'close');
    if (machine.pid !== undefined) process.kill(-machine.pid, 'SIGKILL');
    await closed;
    // The kernel takes the pair away with the last process of its other end.
    await vi.waitFor(() => expect(existsSync(`/sys/class/net/${outside.link}`)).toBe(false), waiting);
  });

  const inside = (id: string, command: string): Promise<string> =>
    place.subject().inside(`${id}-main-1`, command);
  const visit = (id: string, address: string, port = 80): Promise<string> =>
    inside(id, `nc -w 3 ${address} ${port} </dev/null`);
  const addressOf = async (id: string): Promise<string> =>
    (await place.subject().driver.networks.list()).find((each) => each.environmentId === id)?.address ?? '';
  const started = async (policy: NetworkPolicy): Promise<string> => {
    const id = await place.environment(policy);
    await place.start(id);
    return id;
  };

  it('reaches what is public, behind an address of the host', async () => {
    // The machine outside has no route to the environment, so an answer proves the address translation.
    const id = await started(internet);
    expect(await visit(id, outside.public)).toBe('served\nexit 0');
  });

  it('reaches nothing when its policy is nothing, and again after a change in place', async () => {
    const id = await started(nothing);
    expect(await visit(id, outside.public)).toMatch(refused);
    await place.subject().driver.networks.ensure(id, internet);
    expect(await visit(id, outside.public)).toBe('served\nexit 0');
  });

  it('reaches private ranges only when its policy says so', async () => {
    const closed = await started(internet);
    expect(await visit(closed, outside.private)).toMatch(refused);
    const open = await started(office);
    expect(await visit(open, outside.private)).toBe('served\nexit 0');
    expect(await visit(open, outside.public)).toMatch(refused);
  });

  it('reaches no other environment, which the host does reach', async () => {
    const [one, other] = [await started(office), await started(internet)];
    expect(await inside(other, `(${serve.replace('-l -p 80', '-l -p 8080')}) >/dev/null 2>&1 &`)).toBe(
      'exit 0',
    );
    const address = await addressOf(other);
    await vi.waitFor(async () => expect(await dial(address, 8080)).toBe('served\n'), waiting);
    expect(await visit(one, address, 8080)).toMatch(refused);
  });

  it('reaches nothing of the host but names', async () => {
    const id = await started(internet);
    const gateway = readAttachment(place.subject().home, id)?.gateway ?? '';
    const servers = [gateway, '198.51.100.1'].map((address) =>
      createServer((socket) => void socket.end('host\n')).listen(0, address),
    );
    try {
      await Promise.all(servers.map((server) => once(server, 'listening')));
      for (const server of servers) {
        const { address, port } = server.address() as { address: string; port: number };
        expect(await dial(address, port)).toBe('host\n');
        expect(await visit(id, address, port)).toMatch(refused);
      }
      expect(await inside(id, `ping -c 1 -W 1 ${gateway}`)).toMatch(/exit 1/);
      expect(await inside(id, `nc -w 1 ${gateway} 53 </dev/null`)).toBe('exit 0');
    } finally {
      for (const server of servers) server.close();
    }
  });

  it('gets names from the resolvers of the host', async ({ skip }) => {
    const resolver = new Resolver({ timeout: 2000, tries: 1 });
    resolver.setServers(hostResolvers());
    const code = await resolver.resolve4('atelier.invalid').catch((error: { code: string }) => error.code);
    skip(code !== 'ENOTFOUND', `no resolver of this host answers: ${String(code)}`);
    const id = await started(internet);
    expect(await inside(id, 'cat /etc/resolv.conf; nslookup -type=a atelier.invalid')).toMatch(
      /NXDOMAIN|can't find/,
    );
  });

  it('reaches no link-local and no metadata address', async () => {
    const id = await started(everything);
    expect(await visit(id, '169.254.169.254')).toMatch(refused);
    expect(await inside(id, 'ip -6 address show dev eth0 | grep -c inet6')).toMatch(/^0/);
    expect(await inside(id, 'ip address show dev lo | grep -c ::1')).toMatch(/^1/);
  });

  it('cannot send from an address that is not its own', async () => {
    const id = await started(internet);
    const table = 'atelier_test_source';
    const rules = (hook: string, priority: number): string =>
      `chain ${hook} {\ntype filter hook ${hook} priority ${priority}\nip saddr 198.18.7.7 counter\n}\n`;
    execFileSync('nft', ['-f', '-'], {
      input: `table inet ${table} {\n${rules('prerouting', -400)}${rules('forward', -100)}}\n`,
    });
    try {
      const file = findNamespaces(place.subject().home, id)?.networkFile ?? '';
      const send = 'ip address add 198.18.7.7/32 dev eth0; ping -c 2 -W 1 -I 198.18.7.7 198.51.100.77';
      execFileSync('nsenter', [`--net=${file}`, '/bin/busybox', 'sh', '-c', `${send}; true`]);
      const counted = execFileSync('nft', ['list', 'table', 'inet', table], { encoding: 'utf8' });
      const [arrived, passed] = [...counted.matchAll(/packets (\d+)/g)].map((match) => Number(match[1]));
      expect(arrived).toBeGreaterThan(0);
      expect(passed).toBe(0);
    } finally {
      execFileSync('nft', ['delete', 'table', 'inet', table]);
    }
    expect(await inside(id, 'ip address add 198.18.7.8/32 dev eth0')).toMatch(/not permitted/);
    expect(await visit(id, outside.public)).toBe('served\nexit 0');
  });

  it('is no interface that was not made here', () => {
    for (const foreign of [
      'eth0',
      'lo',
      'docker0',
      'at',
      'atoutside',
      'at000000000000g',
      'veth12345678901',
    ]) {
      expect(() => requireOurLink(foreign)).toThrow(/must not be touched/);
    }
    const { home } = place.subject();
    expect(requireOurLink(linkName(home, 'x'))).toHaveLength(15);
  });

  it('whose interface is gone is not listed, and is made anew under its address', async () => {
    const { driver, home } = place.subject();
    const id = await place.environment(internet);
    const address = await addressOf(id);
    ip(`link delete ${requireOurLink(linkName(home, id))}`);
    expect(await driver.networks.list()).toEqual([]);
    expect((await driver.networks.ensure(id, internet)).address).toBe(address);
    expect(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim()).toBe('1');
  });
});

function ip(...commands: string[]): void {
  execFileSync('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` });
}

async function dial(address: string, port: number): Promise<string> {
  const socket = connect(port, address);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}
