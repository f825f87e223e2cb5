/** Packets that claim to be from somebody else, counted by the host: they have to arrive, and to get no further. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withoutRules } from './controls.ts';
import { claimByArp, forgeries, type Forgery } from './network-probes.ts';
import { outcomesOf, programOf } from './probe.ts';
import type { Scene } from './scene.ts';

const table = `atelier_test_escape_${process.pid}`;

/** Declares the cases. */
export function forgeryCases(scene: () => Scene): void {
  describe('packets from somebody else', () => {
    beforeAll(() => {
      const hooks = [
        ['arrived', 'prerouting', -400],
        ['forwarded', 'forward', -100],
        ['local', 'input', -100],
      ] as const;
      const chains = hooks.map(
        ([name, hook, priority]) =>
          `chain ${name} {\ntype filter hook ${hook} priority ${priority}\n${forgeries.map((each) => rule(scene(), each)).join('\n')}\n}\n`,
      );
      nft(['-f', '-'], `table inet ${table} {\n${chains.join('')}}\n`);
    });
    afterAll(() => void nft(['delete', 'table', 'inet', table]));

    /** What has arrived at the host, and what has got further, of each. */
    const send = async (): Promise<{ name: string; arrived: number; passed: number }[]> => {
      const before = forgeries.map(counted);
      const sent = await scene().attack(forgeries);
      expect([...sent.values()].map(({ verdict }) => verdict)).toEqual(forgeries.map(() => 'through'));
      return forgeries.map((forgery, index) => {
        const now = counted(forgery);
        const { arrived = 0, passed = 0 } = before[index] ?? {};
        return { name: forgery.name, arrived: now.arrived - arrived, passed: now.passed - passed };
      });
    };
    const all = (arrived: unknown, passed: unknown) =>
      forgeries.map(({ name }) => ({ name, arrived, passed: passed as number }));
    const some = expect.toSatisfy((count: number) => count > 0, 'at least one');

    it('end at the host', async () => {
      expect(await send()).toEqual(all(some, 0));
    });

    it('get further without the rules of the network, as the control', async () => {
      expect(await withoutRules(scene().table, send)).toEqual(all(some, some));
    });
  });

  describe('claims of an address by ARP', () => {
    it('lead nothing of another environment here', async () => {
      const { other_address: address = '', other_port: port = '' } = scene().facts;
      const attack = { name: 'claim', attack: claimByArp };
      expect((await scene().attack([attack])).get('claim')).toMatchObject({ verdict: 'through' });
      expect(await dial(address, Number(port))).toBe('answer\n');
    });

    it('lead it here on a bridge, as the control', async () => {
      expect(await onBridge()).toEqual({ before: true, after: false });
    });
  });
}

function rule({ link, facts }: Scene, forgery: Forgery): string {
  const match = forgery.rule.replace('$other_address', facts['other_address'] ?? '');
  return `iifname "${link}" ${match} counter comment "${forgeries.indexOf(forgery)}"`;
}

function counted(forgery: Forgery): { arrived: number; passed: number } {
  const lines = nft(['list', 'table', 'inet', table]).split('\n');
  const counts = lines
    .filter((line) => line.includes(`comment "${forgeries.indexOf(forgery)}"`))
    .map((line) => Number(/packets (\d+)/.exec(line)?.[1]));
  const [arrived = 0, ...passed] = counts;
  return { arrived, passed: passed.reduce((sum, each) => sum + each, 0) };
}

/** Two machines on a bridge: whether the one is reached before and after the other has claimed its address. */
async function onBridge(): Promise<{ before: boolean; after: boolean }> {
  const [attacker, victim, host] = ['192.0.2.2', '192.0.2.3', '192.0.2.1'];
  const facts = { other_address: victim };
  const prelude = readFileSync(join(import.meta.dirname, 'prelude.pl'), 'utf8');
  const probe = { name: 'claim', attack: claimByArp, protects: '', control: 'bare' } as const;
  const script = `set -e
    ip link set lo up; ip link add bridge type bridge; ip address add ${host}/24 dev bridge; ip link set bridge up
    for each in ${attacker} ${victim}; do
      unshare --net sleep 60 & pid=$!
      until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
      ip link add "to$pid" type veth peer name eth0 netns $pid; ip link set "to$pid" master bridge up
      nsenter -t $pid -n sh -c "echo 0 >/proc/sys/net/ipv4/ip_forward; ip link set lo up; ip address add $each/24 dev eth0; ip link set eth0 up; ip route add default via ${host}"
      all="$all $pid"
    done
    reached() { perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => "${victim}:9", Timeout => 2); print $!{ECONNREFUSED} ? "yes" : "no", "\\n"'; }
    set -- $all
    reached
    nsenter -t $1 -n unshare --mount sh -c 'mount -t sysfs none /sys && exec perl -'
    reached
    kill $1 $2`;
  const child = spawn('unshare', ['--net', '--mount', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(programOf(prelude, [probe], facts));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  const [before, after] = output.split('\n').filter((line) => /^(yes|no)$/.test(line));
  expect(outcomesOf(output).get('claim')).toMatchObject({ verdict: 'through' });
  return { before: before === 'yes', after: after === 'yes' };
}

async function dial(address: string, port: number): Promise<string> {
  const socket = connect(port, address).setEncoding('utf8');
  let text = '';
  socket.on('data', (part: string) => (text += part));
  await once(socket, 'close');
  return text;
}

function nft(words: readonly string[], input?: string): string {
  return execFileSync('nft', words, { encoding: 'utf8', ...(input !== undefined && { input }) });
}
