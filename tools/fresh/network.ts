import { readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { run, succeeds, type Undo } from './run.ts';

/**
 * Makes a network namespace that reaches out through this machine's uplink: one veth pair, one masquerade rule,
 * forwarding switched on for these two interfaces only. Returns its name, or undefined when packages cannot be reached
 * that way (then nothing is left). No interface but the veth made here is changed, apart from the uplink's forwarding
 * flag, which gets its old value back.
 */
export function makeNetwork(undos: Undo[]): string | undefined {
  const uplink = /\bdev (\S+)/.exec(run('ip', '-4', 'route', 'show', 'default'))?.[1];
  if (uplink === undefined) return undefined;
  const name = `atelier-fresh-${process.pid}`;
  const inside = `af${process.pid}i`;
  const outside = `af${process.pid}o`;
  const subnet = freeSubnet();
  run('ip', 'netns', 'add', name);
  undos.push(() => run('ip', 'netns', 'delete', name));
  run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
  undos.push(() => succeeds('ip', 'link', 'delete', outside));
  run('ip', 'address', 'add', `${subnet}.1/30`, 'dev', outside);
  run('ip', 'link', 'set', outside, 'up');
  run('ip', '-n', name, 'address', 'add', `${subnet}.2/30`, 'dev', inside);
  run('ip', '-n', name, 'link', 'set', inside, 'up');
  run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  run('ip', '-n', name, 'route', 'add', 'default', 'via', `${subnet}.1`);
  masquerade(name.replaceAll('-', '_'), `${subnet}.0/30`, uplink, undos);
  forward(outside, undos);
  forward(uplink, undos);
  return succeeds('nsenter', `--net=/run/netns/${name}`, 'npm', 'ping') ? name : undefined;
}

// 198.18.0.0/15 is set aside for tests of networks: no real network uses it.
function freeSubnet(): string {
  const taken = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map((each) => each.address),
  );
  for (let third = process.pid % 256; ; third = (third + 1) % 256) {
    if (!taken.includes(`198.19.${third}.1`)) return `198.19.${third}`;
  }
}

function masquerade(table: string, subnet: string, uplink: string, undos: Undo[]): void {
  run('nft', 'add', 'table', 'ip', table);
  undos.push(() => run('nft', 'delete', 'table', 'ip', table));
  run('nft', `add chain ip ${table} out { type nat hook postrouting priority srcnat; }`);
  run('nft', `add rule ip ${table} out ip saddr ${subnet} oifname "${uplink}" masquerade`);
}

function forward(link: string, undos: Undo[]): void {
  const flag = `/proc/sys/net/ipv4/conf/${link}/forwarding`;
  const before = readFileSync(flag, 'utf8');
  if (before.trim() === '1') return;
  writeFileSync(flag, '1');
  undos.push(() => writeFileSync(flag, before));
}
