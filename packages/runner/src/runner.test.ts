import { runnerProtocolVersion, toAtelierError } from '@atelier/api';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import {
  EnvironmentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
  EnvironmentStatus_RunnerACK_StatusCode as AckCode,
} from '@atelier/api/gitpod/environment';
import { EnvironmentClassSchema } from '@atelier/api/gitpod/environment_class';
import {
  createSimulatedDriver,
  SimulatedMachine,
  type SimulatedMachineOptions,
} from '@atelier/driver-simulated';
import { create } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it } from 'vitest';
import { killable, type Death } from './testing/killable.ts';
import { ManualClock } from '@atelier/api/testing';
import { desiredEnvironment, RunnerWorld, type Wish } from './testing/runner-world.ts';

const tick = async (): Promise<void> => {
  for (let count = 0; count < 6; count += 1) await new Promise((resolve) => setImmediate(resolve));
};

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const worlds: RunnerWorld[] = [];

function makeWorld(machineOptions: Partial<SimulatedMachineOptions> = {}) {
  const clock = new ManualClock();
  const random = seeded(7);
  const world = new RunnerWorld(clock, random, tick);
  worlds.push(world);
  const machine = new SimulatedMachine({ clock, random, ...machineOptions });
  const open = () => createSimulatedDriver({ clock, random, machine });
  const wish = (what: Wish = {}) => world.plane.wish(desiredEnvironment(world.id, what));
  const reaches = (phase: EnvironmentPhase, withinMs?: number) =>
    world.until(() => world.phase() === phase, withinMs);
  return { clock, random, world, machine, open, wish, reaches };
}

/** Everything on the machine that belongs to an environment, in words. */
function leftovers(machine: SimulatedMachine, world: RunnerWorld): string[] {
  return [
    ...[...machine.disks.keys()].map((id) => `disk ${id}`),
    ...[...machine.networks.keys()].map((id) => `network ${id}`),
    ...[...machine.instances.keys()].map((name) => `instance ${name}`),
    ...[...machine.pins.keys()].map((owner) => `pin ${owner}`),
    ...[...world.disk.documents.keys()].map((key) => `document ${key}`),
    ...[...world.disk.logBytes.keys()].map((key) => `log ${key}`),
  ];
}

function main(machine: SimulatedMachine) {
  return [...machine.instances.values()].find(({ start }) => start.name.includes('-main-'));
}

afterEach(async () => {
  for (const world of worlds.splice(0)) {
    const stopped = world.runner?.stop();
    await world.pass(100);
    await stopped;
    expect(world.plane.errors).toEqual([]);
    expect(world.findings).toEqual([]);
  }
});

describe('a machine that cannot enforce a limit', () => {
  const open = ({ clock, random, machine }: ReturnType<typeof makeWorld>) =>
    createSimulatedDriver({ clock, random, machine, capabilities: { memoryLimit: false } });

  it('refuses an environment whose class has it, before anything is made, and says why', async () => {
    const made = makeWorld();
    const { world, machine } = made;
    await world.start(open(made));
    const environmentClass = create(EnvironmentClassSchema, {
      displayName: 'Large',
      configuration: [{ key: 'memoryMib', value: '512' }],
    });
    world.plane.wish(Object.assign(desiredEnvironment(world.id), { environmentClass }));
    expect(await world.until(() => (world.observed()?.status?.failureMessage.length ?? 0) > 0)).toBe(true);
    expect(world.observed()?.status?.failureMessage.join()).toContain(
      'the environment class Large cannot be had on this machine: memoryBytesMax cannot be enforced',
    );
    expect([...machine.disks.keys(), ...machine.instances.keys()]).toEqual([]);
  });

  it("has one whose class says nothing of it, without the limits that are only the runner's own", async () => {
    const made = makeWorld();
    await made.world.start(open(made));
    made.wish();
    expect(await made.reaches(EnvironmentPhase.RUNNING), made.world.describe()).toBe(true);
    expect(main(made.machine)?.start.limits).toEqual({ cpuWeight: 100, processesMax: 1024 });
  });
});

describe('a life', () => {
  it('goes from its wish to running, with the time of each step', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    expect(await reaches(EnvironmentPhase.RUNNING)).toBe(true);
    const status = world.observed()?.status;
    expect(status?.failureMessage).toEqual([]);
    expect(status?.runnerAck?.statusCode).toBe(AckCode.OK);
    expect(status?.runnerAck?.specVersion).toBe(1n);
    expect(status?.devcontainer?.phase).toBe(DevContainerPhase.RUNNING);
    expect(status?.devcontainer?.remoteWorkspaceFolder).toBe('/workspaces/guestbook');
    expect(status?.environmentUrls?.ops).toBe(`http://127.0.0.1:1/environments/${world.id}`);
    // The gateway serves none yet, whatever the spec opens.
    expect(status?.environmentUrls?.ports).toEqual([]);
    const steps = status?.detail?.steps ?? [];
    expect(steps.map(({ name }) => name)).toEqual(
      'disk network content configuration image root instance supervisor'.split(' '),
    );
    expect(steps.every(({ phase, took }) => phase === StepPhase.SUCCEEDED && took !== undefined)).toBe(true);
    expect([...machine.instances.keys()]).toEqual([`${world.id}-main-1`]);
    expect(machine.disks.get(world.id)?.workspace.has('README.md')).toBe(true);
    expect(world.plane.acknowledged).toBe(world.plane.revision);
    expect([...machine.pins.keys()]).toEqual([world.id]);
    expect(world.passErrors).toEqual([]);
  });

  it('stops, starts again under a new boot, and is deleted without a trace', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    const firstBoot = world.observed()?.status?.detail?.boot;
    wish({ phase: 'stopped' });
    expect(await reaches(EnvironmentPhase.STOPPED)).toBe(true);
    expect(machine.instances.size).toBe(0);
    expect(machine.disks.size).toBe(1);
    wish({ machine: 'm2' });
    expect(await reaches(EnvironmentPhase.RUNNING)).toBe(true);
    expect(world.observed()?.status?.detail?.boot).not.toBe(firstBoot);
    wish({ machine: 'm2', phase: 'deleted' });
    expect(await world.until(() => world.observed()?.gone === true)).toBe(true);
    expect(world.phase()).toBe(EnvironmentPhase.DELETED);
    expect(leftovers(machine, world)).toEqual([]);
    world.plane.forget(world.id);
    await world.pass(1000);
    expect(leftovers(machine, world)).toEqual([]);
  });

  it('rebuilds on a new root layer and keeps the workspace', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    machine.disks.get(world.id)?.workspace.set('.devcontainer.json', '{ "image": "example.org/team/image" }');
    machine.disks.get(world.id)?.workspace.set('uncommitted', 'work');
    wish({ devcontainer: 'd2' });
    expect(
      await world.until(
        () =>
          world.phase() === EnvironmentPhase.RUNNING &&
          world.observed()?.status?.devcontainer?.session === 'd2' &&
          machine.disks.get(world.id)?.generations.size === 1,
      ),
      world.describe(),
    ).toBe(true);
    expect(main(machine)?.start.name).toBe(`${world.id}-main-2`);
    expect(machine.disks.get(world.id)?.workspace.get('uncommitted')).toBe('work');
    expect(machine.pins.get(world.id)).toBe(machine.references.get('example.org/team/image'));
    expect(world.observed()?.status?.devcontainer?.devcontainerFilePath).toBe('.devcontainer.json');
  });
});

describe('what goes wrong in an environment', () => {
  const url = 'https://example.org/team/guestbook.git';

  it.each([
    ['a configuration that is no JSON', '{ "image": ', /devcontainer\.json:1:\d+/],
    ['an image that does not exist', '{ "image": "example.org/missing" }', /no image example\.org\/missing/],
    [
      'an initializeCommand that fails',
      '{ "initializeCommand": "exit 3" }',
      /initializeCommand failed with exit code 3/,
    ],
    [
      'a build that leaves the repository',
      '{ "build": { "dockerfile": "../../x" } }',
      /leaves the repository/,
    ],
  ])('%s ends in a recovery environment that says why', async (_, text, message) => {
    const repositories = { [url]: { '.devcontainer/devcontainer.json': text } };
    const { world, open, wish, reaches } = makeWorld({ repositories });
    await world.start(open());
    wish({ url });
    expect(await reaches(EnvironmentPhase.RUNNING)).toBe(true);
    const status = world.observed()?.status;
    expect(status?.devcontainer?.phase).toBe(DevContainerPhase.FAILED);
    expect(status?.devcontainer?.failureMessage).toMatch(message);
    expect(status?.failureMessage).toEqual([]);
  });

  it('a life-cycle command that fails leaves the environment running and names its log', async () => {
    const repositories = { [url]: { '.devcontainer.json': '{ "onCreateCommand": "make" }' } };
    const { world, open, wish, reaches } = makeWorld({
      repositories,
      behaviour: { lifecycleExitCode: () => 2 },
    });
    await world.start(open());
    wish({ url });
    expect(await reaches(EnvironmentPhase.RUNNING)).toBe(true);
    const { devcontainer } = world.observed()?.status ?? {};
    expect(devcontainer?.phase).toBe(DevContainerPhase.FAILED);
    expect(devcontainer?.failureMessage).toContain('onCreateCommand failed with exit code 2');
    expect(await world.runner?.access.logNames(world.id)).toContain('lifecycle/onCreateCommand');
  });

  it('a repository that does not exist fails the environment with the last words of git', async () => {
    const { world, open, wish, reaches } = makeWorld();
    await world.start(open());
    wish({ url: 'https://somebody:hunter2@example.org/missing.git' });
    expect(await reaches(EnvironmentPhase.STOPPED)).toBe(true);
    const text = world.observed()?.status?.failureMessage.join() ?? '';
    expect(text).toContain("repository 'https://example.org/missing.git' not found");
    expect(JSON.stringify([...world.disk.documents])).not.toContain('hunter2');
    expect(Buffer.concat([...world.disk.logBytes.values()]).toString()).not.toContain('hunter2');
  });

  it('a remote that is refused is acknowledged as invalid and nothing is run', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    world.plane.local = false;
    await world.start(open());
    wish({ url: 'file:///etc' });
    expect(await reaches(EnvironmentPhase.STOPPED)).toBe(true);
    const status = world.observed()?.status;
    expect(status?.runnerAck?.statusCode).toBe(AckCode.INVALID_RESOURCE);
    expect(status?.failureMessage.join()).toContain('A file URL names a folder of the runner');
    expect(machine.disks.get(world.id)?.workspaceVersion ?? 0).toBe(0);
  });

  it('stops also when the pass that found it to be up was the last one', async () => {
    const { world, clock, random, machine, wish, reaches } = makeWorld();
    const isBroken = () => clock.nowMs() - startMs < 20_000 && main(machine)?.supervisor.spec !== undefined;
    const startMs = clock.nowMs();
    const rule = { methods: ['networks.list'], fault: { kind: 'error', code: 'unavailable' } } as const;
    const faults = { rules: [{ ...rule, when: { decide: isBroken } }] };
    await world.start(createSimulatedDriver({ clock, random, machine, faults }));
    wish({ timeoutMs: 1_800_000 });
    expect(await reaches(EnvironmentPhase.RUNNING)).toBe(true);
    expect(await reaches(EnvironmentPhase.STOPPED, 1_900_000)).toBe(true);
    expect(world.observed()?.status?.machine?.timeout).toMatch(/no activity for 30 minutes/);
  });

  it('stops when nothing happens inside for the time that was asked for', async () => {
    const { world, open, wish, reaches } = makeWorld();
    await world.start(open());
    wish({ timeoutMs: 1_800_000 });
    await reaches(EnvironmentPhase.RUNNING);
    expect(await reaches(EnvironmentPhase.STOPPED, 1_700_000)).toBe(false);
    world.runner?.access.markActive(world.id);
    expect(await reaches(EnvironmentPhase.STOPPED, 1_700_000)).toBe(false);
    expect(await reaches(EnvironmentPhase.STOPPED, 300_000)).toBe(true);
    expect(world.observed()?.status?.machine?.timeout).toContain('no activity for 30 minutes');
  });
});

/** Runs a wish under a death, then starts the runner anew and lets it converge. */
async function killedAt(death: Death, before: Wish[], last: Wish, done: (world: RunnerWorld) => boolean) {
  const { world, open, machine } = makeWorld();
  const dying = killable(open(), world.disk);
  const wish = (what: Wish) => world.plane.wish(desiredEnvironment(world.id, what));
  await world.start(dying.driver, { ledger: dying.ledger, records: dying.records });
  for (const each of before) {
    wish(each);
    await world.until(() => done(world));
  }
  await world.runner?.stop();
  const mortal = killable(open(), world.disk, death);
  await world.start(mortal.driver, { ledger: mortal.ledger, records: mortal.records });
  await tick();
  wish(last);
  await world.until(() => mortal.isDead() || done(world), 60_000);
  const wasKilled = mortal.isDead();
  const effect = mortal.names.at(-1) ?? '';
  if (wasKilled) {
    world.plane.observed.clear();
    await world.start(open());
  }
  const converged = await world.until(() => done(world));
  return { world, machine, wasKilled, effect, converged };
}

const isRunning = (world: RunnerWorld): boolean => world.phase() === EnvironmentPhase.RUNNING;
const isGone = (world: RunnerWorld): boolean => world.observed()?.gone === true;

describe('a runner that is killed', () => {
  it.each(['before', 'after'] as const)(
    '%s any effect of a start converges after its restart',
    async (moment) => {
      const seen: string[] = [];
      for (let atEffect = 1; ; atEffect += 1) {
        const { world, machine, wasKilled, effect, converged } = await killedAt(
          { atEffect, moment },
          [],
          {},
          isRunning,
        );
        expect(converged, `killed ${moment} effect ${atEffect}, ${effect}`).toBe(true);
        expect(machine.disks.get(world.id)?.workspace.has('README.md'), effect).toBe(true);
        // A root layer or a pin that was made and not written down goes a little later.
        await world.until(
          () => machine.pins.size === 1 && machine.disks.get(world.id)?.generations.size === 1,
          200_000,
        );
        expect(machine.disks.get(world.id)?.generations.size, effect).toBe(1);
        expect([...machine.instances.keys()], effect).toEqual([expect.stringMatching(/-main-[12]$/)]);
        expect([...machine.pins.keys()], effect).toEqual([world.id]);
        await world.runner?.stop();
        if (!wasKilled) break;
        seen.push(effect);
      }
      expect(seen).toContain('instances.start');
      expect(seen).toContain('disks.clearWorkspace');
      expect(seen).toContain('disks.ensureGeneration');
      expect(seen.length).toBeGreaterThan(15);
    },
  );

  it.each(['before', 'after'] as const)('%s any effect of a deletion leaves nothing', async (moment) => {
    const seen: string[] = [];
    for (let atEffect = 1; ; atEffect += 1) {
      const { world, machine, wasKilled, effect, converged } = await killedAt(
        { atEffect, moment },
        [{}],
        { phase: 'deleted' },
        (each) =>
          each.plane.desired.get(each.id)?.environment?.spec?.desiredPhase === EnvironmentPhase.DELETED
            ? isGone(each)
            : isRunning(each),
      );
      expect(converged, `killed ${moment} effect ${atEffect}, ${effect}`).toBe(true);
      expect(leftovers(machine, world), effect).toEqual([]);
      await world.runner?.stop();
      if (!wasKilled) break;
      seen.push(effect);
    }
    expect(seen).toContain('disks.remove');
    expect(seen).toContain('records.remove');
  });

  it('finds the same PID 1 again and starts nothing', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    const pid = main(machine)?.pid;
    const dead = killable(open(), world.disk, { atEffect: 1, moment: 'before' });
    await world.runner?.stop();
    world.plane.observed.clear();
    await world.start(dead.driver, { records: dead.records });
    expect(await reaches(EnvironmentPhase.RUNNING)).toBe(true);
    await world.pass(5_000);
    expect(main(machine)?.pid).toBe(pid);
    expect(dead.names).toEqual([]);
    expect(world.runner?.access.transport(world.id)).toBeDefined();
    expect(world.observed()?.status?.detail?.steps.length).toBeGreaterThan(5);
  });
});

describe('deletion', () => {
  it('works from every state that a start passes through', async () => {
    for (let atEffect = 1; ; atEffect += 1) {
      const { world, open, wish, machine, reaches } = makeWorld();
      const counted = killable(open(), world.disk);
      await world.start(counted.driver, { ledger: counted.ledger, records: counted.records });
      wish();
      await world.until(() => counted.count() >= atEffect || isRunning(world));
      const wasRunning = isRunning(world);
      wish({ phase: 'deleted' });
      expect(await world.until(() => isGone(world)), `after ${counted.names[atEffect - 1]}`).toBe(true);
      await world.pass(1_000);
      expect(leftovers(machine, world), `after ${counted.names[atEffect - 1]}`).toEqual([]);
      expect(await reaches(EnvironmentPhase.DELETED)).toBe(true);
      await world.runner?.stop();
      if (wasRunning) break;
    }
  });
});

describe('while the plane is away', () => {
  it('instances that die are started again, the idle are stopped, and the plane hears of it later', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish({ timeoutMs: 1_800_000 });
    await reaches(EnvironmentPhase.RUNNING);
    world.plane.goAway();
    await world.pass(120_000);
    expect(world.runner?.planeState().state).toBe('connecting');
    const firstPid = main(machine)?.pid ?? 0;
    machine.kill(`${world.id}-main-1`);
    await world.pass(120_000);
    expect(main(machine)?.state).toBe('running');
    expect(main(machine)?.pid).not.toBe(firstPid);
    expect(world.phase()).toBe(EnvironmentPhase.RUNNING);
    await world.pass(2_000_000);
    expect(machine.instances.size).toBe(0);
    world.plane.reachable = true;
    expect(await reaches(EnvironmentPhase.STOPPED, 60_000)).toBe(true);
    expect(world.plane.hellos.at(-1)?.acknowledgedRevision).toBe(world.plane.revision);
  });

  it('a runner that starts goes on from its ledger', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    await world.runner?.stop();
    world.plane.goAway();
    machine.reboot();
    await world.start(open());
    expect(await world.until(() => main(machine)?.state === 'running')).toBe(true);
  });
});

describe('what the plane says', () => {
  it('a plane of version 1, which knows no other, is talked to in version 1', async () => {
    const { world, open, wish, reaches } = makeWorld();
    world.plane.onlyProtocolVersion = 1;
    await world.start(open());
    wish();
    expect(await reaches(EnvironmentPhase.RUNNING), world.describe()).toBe(true);
    expect(world.plane.hellos.map((hello) => hello.protocolVersion)).toEqual([runnerProtocolVersion, 1]);
  });

  it('a plane whose version changes is asked for the whole set, once', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    const before = main(machine);
    world.plane.goAway();
    world.plane.softwareVersion = 'next';
    world.plane.reachable = true;
    const asked = () => world.plane.hellos.map((hello) => hello.acknowledgedRevision);
    expect(
      await world.until(() => asked().length === 3 && world.runner?.planeState().state === 'connected'),
    ).toBe(true);
    world.plane.goAway();
    world.plane.reachable = true;
    expect(await world.until(() => asked().length === 4)).toBe(true);
    expect(asked()).toEqual([0n, 1n, 0n, 1n]);
    expect(main(machine)).toEqual(before);
  });

  it('another plane is refused with words, and what is here is left alone', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    world.plane.goAway();
    world.plane.planeId = '0190cccc-0000-7000-8000-000000000009';
    world.plane.desired.clear();
    world.plane.reachable = true;
    expect(await world.until(() => world.runner?.planeState().state === 'refused')).toBe(true);
    expect(world.runner?.planeState().message).toContain('Point the runner at its own plane');
    expect(machine.instances.size).toBe(1);
  });

  it('an environment that a whole set does not name is stopped and kept', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    world.plane.desired.clear();
    world.plane.tellAll();
    expect(await world.until(() => machine.instances.size === 0)).toBe(true);
    await world.pass(600_000);
    expect(machine.disks.has(world.id)).toBe(true);
    wish();
    expect(await reaches(EnvironmentPhase.RUNNING)).toBe(true);
    expect(machine.disks.get(world.id)?.workspaceVersion).toBeGreaterThan(0);
  });

  it('after a lease that ended, a remote runner begins nothing before it knows what is its own', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    world.plane.local = false;
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    await world.runner?.stop();
    machine.reboot();
    world.plane.leaseEpoch = 2n;
    world.plane.talks = false;
    await world.start(open());
    await world.until(() => world.runner?.planeState().state === 'connected');
    const before = machine.instances.size;
    await world.pass(20_000);
    expect(machine.instances.size).toBe(before);
    world.plane.talks = true;
    expect(await world.until(() => main(machine)?.state === 'running')).toBe(true);
  });

  it('is told a few times per second at most, and the last state always', async () => {
    const { world, open, wish, reaches, clock } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    const before = world.plane.observedCount;
    const untilMs = clock.nowMs() + 10_000;
    let marks = 0;
    while (clock.nowMs() < untilMs) {
      wish({ timeoutMs: 1_800_000 + (marks += 1) });
      await world.pass(50);
    }
    expect(marks).toBeGreaterThan(100);
    expect(world.plane.observedCount - before).toBeLessThanOrEqual(60);
  });
});

describe('what was written down', () => {
  it('a torn ledger is set aside, and nothing is touched before the whole set has come', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    const pid = main(machine)?.pid;
    await world.runner?.stop();
    world.plane.goAway();
    const torn = world.disk.ledgerText?.slice(0, 200) ?? '';
    world.disk.ledgerText = torn;
    await world.start(open());
    await world.pass(300_000);
    expect(world.disk.setAside).toEqual([torn]);
    expect(world.reports.join()).toContain('ledger.json.unreadable-1');
    expect(main(machine)?.pid).toBe(pid);
    world.plane.reachable = true;
    world.plane.observed.clear();
    expect(await reaches(EnvironmentPhase.RUNNING), world.describe()).toBe(true);
    expect(world.plane.hellos.at(-1)?.acknowledgedRevision).toBe(0n);
    expect(main(machine)?.pid).toBe(pid);
  });

  it('a torn record stops the passes of its environment, which runs on and can be deleted', async () => {
    const { world, open, wish, machine, reaches } = makeWorld();
    await world.start(open());
    wish();
    await reaches(EnvironmentPhase.RUNNING);
    await world.runner?.stop();
    world.disk.documents.set(`${world.id}/state`, '{"version":1,"rec');
    await world.start(open());
    expect(
      await world.until(() => (world.observed()?.status?.warningMessage.join() ?? '').includes('state.json')),
    ).toBe(true);
    expect(main(machine)?.state).toBe('running');
    expect(world.disk.documents.get(`${world.id}/state`)).toBe('{"version":1,"rec');
    wish({ phase: 'deleted' });
    expect(await world.until(() => isGone(world))).toBe(true);
    expect(leftovers(machine, world)).toEqual([]);
  });

  it('a ledger of another runner and one of a newer version are refused and left where they are', async () => {
    for (const text of [
      '{"version":1,"runnerId":"0190ffff-0000-7000-8000-000000000009"}',
      '{"version":99,"runnerId":"0190bbbb-0000-7000-8000-000000000001"}',
    ]) {
      const { world, open } = makeWorld();
      world.disk.ledgerText = text;
      const refusal = await world.start(open()).catch(toAtelierError);
      expect(refusal).toMatchObject({ code: 'failed_precondition' });
      expect(world.disk.ledgerText).toBe(text);
    }
  });
});
