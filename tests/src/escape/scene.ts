/** The stage: bait on the host, another environment, another machine, and one environment that attacks all of them. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openHome } from '@atelier/driver-oci';
import { runProcess } from '@atelier/sdk';
import { expect } from 'vitest';
import type { Atelier } from '../atelier.ts';
import { RemoteHost } from '../remote-host.ts';
import { makeRepository } from '../repository.ts';
import { Bait } from './bait.ts';
import { runBare, withoutRules } from './controls.ts';
import { powerless, type Need } from './needs.ts';
import { plantedFiles } from './traps.ts';
import { outcomesOf, programOf, type Facts, type Outcome, type Place, type Probe } from './probe.ts';

type Outcomes = ReadonlyMap<string, Outcome>;

/** What was found, and what is still there to try more. */
export interface Scene {
  readonly facts: Facts;
  readonly outcomes: Readonly<Record<Place, Outcomes>>;
  readonly controls: Readonly<Record<Probe['control'], Outcomes>>;
  /** The needs, tried without any right. */
  readonly powerless: Outcomes;
  /** Name of the nftables table of the home. */
  readonly table: string;
  /** Interface of the attacker on the host. */
  readonly link: string;
  /** Runs attacks in the attacking environment. */
  attack(probes: readonly Need[]): Promise<Outcomes>;
  close(): Promise<void>;
}

/** Private and link-local addresses that the other machine has. */
const remoteAddresses =
  '169.254.169.254 169.254.77.77 10.254.77.77 172.16.77.77 192.168.77.77 100.64.77.77'.split(' ');
const remotePort = 7077;
const otherPort = 8077;
const prelude = readFileSync(join(import.meta.dirname, 'prelude.pl'), 'utf8');

/** A server for perl that says something to whoever connects, and can be told by its arguments. */
const server = (port: number, mark: string): string =>
  `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 9, LocalPort => ${port}, ReuseAddr => 1) or die; while (1) { $c = $s->accept or next; print $c "answer\\n"; close $c }' ${mark}`;

/** Sets the stage and runs every probe in every place, and its control. */
export async function openScene(
  atelier: Atelier,
  probes: readonly Probe[],
  needs: readonly Need[],
): Promise<Scene> {
  const bait = new Bait(join(atelier.folder, 'bait'));
  const remote = new RemoteHost();
  const closing: (() => unknown)[] = [() => bait.close(), () => remote.close()];
  const close = async (): Promise<void> => {
    for (const each of closing.toReversed()) await each();
  };
  try {
    const facts = { ...(await bait.open()), ...(await otherFacts(atelier, remote)) };
    const both = [...probes, ...needs.map((need) => ({ ...need, protects: '', control: 'bare' as const }))];
    const program = programOf(prelude, both, facts);
    await remote.serve(['sh', '-c', server(remotePort, 'remote')]);
    const outcomes = await attackEverywhere(atelier, program);
    const link = linkTo(await addressInside(atelier, 'attacker'));
    closing.push(...remote.alsoAt(remoteAddresses, link));
    const attack = (list: readonly Need[], words: readonly string[] = []): Promise<Outcomes> =>
      inside(atelier, programOf(prelude, asProbes(list), facts), words);
    const table = `atelier_${openHome(atelier.home).short}`;
    const open = probes.filter(({ control }) => control === 'open-network');
    return {
      facts,
      outcomes,
      controls: {
        bare: outcomesOf(
          await runBare({
            folder: join(atelier.folder, 'bare'),
            program: programOf(
              prelude,
              probes.filter(({ control }) => control === 'bare'),
              facts,
            ),
            engineSocket: bait.socket,
            leak: bait.leak,
          }),
        ),
        'open-network': await withoutRules(table, () => attack(open)),
      },
      powerless: await attack(needs, powerless),
      table,
      link,
      attack,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function asProbes(list: readonly Need[]): Probe[] {
  return list.map((each) => ({ ...each, protects: '', control: 'bare' }));
}

/** What attacks have to know beside the bait: the daemon, another environment, another machine. */
async function otherFacts(atelier: Atelier, remote: RemoteHost): Promise<Facts> {
  const mark = `other-of-${process.pid}`;
  const folder = makeRepository(join(atelier.folder, 'other'), {
    'secret.txt': 'a secret of another',
    ...plantedFiles(atelier),
  });
  await atelier.ok('up', folder);
  await atelier.inside('other', `setsid ${server(otherPort, mark)} >/dev/null 2>&1 </dev/null &`);
  const { id } = await atelier.status('other');
  const { url } = await atelier.daemon();
  const gateway = (await atelier.status('other')).status?.environmentUrls?.ops ?? '';
  return {
    home: atelier.home,
    other_file: join(atelier.home, 'runner/environments', id, 'workspace/secret.txt'),
    other_process: mark,
    other_address: await addressInside(atelier, 'other'),
    other_port: String(otherPort),
    host_address: remote.nearAddress,
    remote_port: String(remotePort),
    port_plane: new URL(url).port,
    port_gateway: new URL(gateway).port,
  };
}

/** One `up` runs the program as initializeCommand and in a RUN step; then it runs by exec. */
async function attackEverywhere(atelier: Atelier, program: string): Promise<Record<Place, Outcomes>> {
  const folder = makeRepository(join(atelier.folder, 'attacker'), {
    'attack.pl': program,
    '.devcontainer/Dockerfile': [
      'FROM localhost/atelier/base',
      'COPY attack.pl /attack.pl',
      'RUN perl /attack.pl >/built 2>&1',
      '',
    ].join('\n'),
    '.devcontainer/devcontainer.json': JSON.stringify({
      build: { dockerfile: 'Dockerfile', context: '..' },
      initializeCommand: 'perl attack.pl >thrown 2>&1',
      remoteUser: 'root',
    }),
  });
  await atelier.ok('up', folder);
  return {
    build: outcomesOf(await atelier.inside('attacker', 'cat /built')),
    'throw-away': outcomesOf(await atelier.inside('attacker', 'cat thrown')),
    environment: await inside(atelier, program),
  };
}

async function inside(atelier: Atelier, program: string, words: readonly string[] = []): Promise<Outcomes> {
  const client = await atelier.client();
  const { id } = await atelier.status('attacker');
  const said = { stdout: '', stderr: '' };
  const { ended } = runProcess(client, id, {
    arguments: [...words, 'perl', '-'],
    stdin: (async function* () {
      yield Buffer.from(program);
    })(),
    onOutput: (stream, data) => void (said[stream] += Buffer.from(data).toString()),
  });
  expect((await ended).exitCode, said.stderr).toBe(0);
  return outcomesOf(said.stdout);
}

async function addressInside(atelier: Atelier, name: string): Promise<string> {
  return (
    await atelier.inside(name, "ip -4 -o address show dev eth0 | sed 's,.* inet \\([0-9.]*\\)/.*,\\1,'")
  ).trim();
}

/** The interface of the host that leads to an address. */
function linkTo(address: string): string {
  const [route] = JSON.parse(
    execFileSync('ip', ['-json', 'route', 'get', address], { encoding: 'utf8' }),
  ) as {
    dev: string;
  }[];
  return route?.dev ?? '';
}
