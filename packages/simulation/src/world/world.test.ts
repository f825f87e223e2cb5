import { describe, expect, it } from 'vitest';
import { SimulatedClock } from './clock.ts';
import { SimulatedDisk } from './disk.ts';
import { SimulatedNetwork } from './network.ts';
import { SimulatedProcess } from './process.ts';
import { between, seededRandom } from './random.ts';

describe('the simulated clock', () => {
  it('fires by time, then by order, and lets promises rest in between', async () => {
    const clock = new SimulatedClock(1000);
    const seen: string[] = [];
    for (const [name, afterMs] of [
      ['c', 20],
      ['a', 10],
      ['b', 10],
    ] as const) {
      clock.timer(afterMs, () => void Promise.resolve().then(() => seen.push(`${name}@${clock.nowMs()}`)));
    }
    clock.timer(5, () => seen.push('never')).cancel();
    await clock.runUntil(1015);
    expect(seen).toEqual(['a@1010', 'b@1010']);
    expect(clock.nowMs()).toBe(1015);
    await clock.runUntil(2000);
    expect(seen).toEqual(['a@1010', 'b@1010', 'c@1020']);
  });

  it('keeps a thousand timers in order', async () => {
    const clock = new SimulatedClock(0);
    const random = seededRandom(1, 'timers');
    const fired: number[] = [];
    for (let count = 0; count < 1000; count += 1) {
      clock.timer(between(random, 0, 500), () => fired.push(clock.nowMs()));
    }
    await clock.runUntil(500);
    expect(fired).toHaveLength(1000);
    expect(fired).toEqual(fired.toSorted((one, other) => one - other));
  });
});

describe('a machine that sleeps', () => {
  it('is later afterwards, and no timer has moved', async () => {
    const clock = new SimulatedClock(0);
    const fired: number[] = [];
    clock.timer(100, () => fired.push(clock.nowMs()));
    clock.sleep(5000);
    await clock.runUntil(99);
    expect([clock.nowMs(), clock.awakeMs(), fired]).toEqual([5099, 99, []]);
    await clock.runUntil(100);
    expect(fired).toEqual([5100]);
  });
});

describe('seeded chance', () => {
  it('follows from seed and name alone, and is even', () => {
    const draw = (seed: number, name: string): number[] => {
      const random = seededRandom(seed, name);
      return Array.from({ length: 1000 }, random);
    };
    expect(draw(1, 'a')).toEqual(draw(1, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'));
    const mean = draw(3, 'c').reduce((sum, each) => sum + each, 0) / 1000;
    expect(mean).toBeGreaterThan(0.45);
    expect(mean).toBeLessThan(0.55);
  });
});

describe('a simulated process', () => {
  it('has no timers, effects or answers after it was killed', async () => {
    const clock = new SimulatedClock(0);
    const process = new SimulatedProcess(clock);
    const seen: string[] = [];
    const door = process.gate({ knock: async (who: string) => seen.push(who) }, () => 10);
    process.clock().timer(50, () => seen.push('timer'));
    void door.knock('first').then(() => seen.push('answer'));
    await clock.runUntil(20);
    expect(seen).toEqual(['first', 'answer']);
    void door.knock('second').then(() => seen.push('late answer'));
    process.kill();
    await clock.runUntil(100);
    expect(seen).toEqual(['first', 'answer']);
  });

  it('that is paused has neither timers nor effects until it goes on', async () => {
    const clock = new SimulatedClock(0);
    const process = new SimulatedProcess(clock);
    const seen: string[] = [];
    const door = process.gate(
      { knock: async (who: string) => seen.push(`${who}@${clock.nowMs()}`) },
      () => 10,
    );
    process.clock().timer(50, () => seen.push(`timer@${clock.nowMs()}`));
    void door.knock('first');
    process.pause(1000);
    await clock.runUntil(999);
    expect(seen).toEqual([]);
    await clock.runUntil(2000);
    expect(seen.toSorted()).toEqual(['first@1000', 'timer@1000']);
  });

  it('whose clock is wrong sees another time and the same timers', async () => {
    const clock = new SimulatedClock(0);
    const own = new SimulatedProcess(clock).clock(() => 500);
    const fired: number[] = [];
    own.timer(10, () => fired.push(own.nowMs()));
    await clock.runUntil(20);
    expect(fired).toEqual([510]);
  });

  it.each([
    { effect: true, left: ['one', 'two'] },
    { effect: false, left: ['one'] },
  ])('dies during a planned call, effect $effect', async ({ effect, left }) => {
    const clock = new SimulatedClock(0);
    const process = new SimulatedProcess(clock);
    const seen: string[] = [];
    let answers = 0;
    const door = process.gate({ knock: async (who: string) => seen.push(who) }, () => 0);
    process.killDuring({ afterCalls: 2, effect });
    void (async () => {
      for (const who of ['one', 'two', 'three']) {
        await door.knock(who);
        answers += 1;
      }
    })();
    await clock.runUntil(1);
    expect(process.alive).toBe(false);
    expect(seen).toEqual(left);
    expect(answers).toBe(1);
  });
});

describe('the simulated disk', () => {
  it('keeps what was reported as written, and of the rest all or nothing', async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 20; seed += 1) {
      const clock = new SimulatedClock(0);
      const options = { clock, random: seededRandom(seed, 'disk'), writeMsMax: 10 };
      const disk = new SimulatedDisk({ ...options, fails: () => false, delayMs: () => 0 });
      void disk.write('a', 'old');
      await clock.runUntil(100);
      void disk.write('a', 'new');
      disk.crash();
      await clock.runUntil(200);
      outcomes.add((await disk.read('a')) ?? 'nothing');
    }
    expect([...outcomes].toSorted()).toEqual(['new', 'old']);
  });

  it('says when it is full, with the old text kept', async () => {
    const options = { clock: new SimulatedClock(0), random: () => 0, writeMsMax: 0 };
    const disk = new SimulatedDisk({ ...options, fails: () => true, delayMs: () => 0 });
    await expect(disk.write('a', 'x')).rejects.toMatchObject({ code: 'resource_exhausted' });
    expect(await disk.read('a')).toBeUndefined();
  });
});

describe('the simulated network', () => {
  const setUp = (drop = 0, double = false) => {
    const clock = new SimulatedClock(0);
    const random = seededRandom(1, 'network');
    const network = new SimulatedNetwork<string, string>({
      clock,
      random,
      latencyMsMax: 50,
      drops: () => drop > 0,
      doubles: () => double,
    });
    const server = new SimulatedProcess(clock);
    const client = new SimulatedProcess(clock);
    const heard: string[] = [];
    network.listen(server, async function* echo(requests) {
      for await (const request of requests) {
        heard.push(request);
        yield request.toUpperCase();
      }
    });
    const answers: string[] = [];
    const talk = async (count: number, signal = new AbortController().signal): Promise<void> => {
      async function* requests(): AsyncGenerator<string> {
        for (let index = 0; index < count; index += 1) yield `m${index}`;
        await new Promise(() => {});
      }
      for await (const answer of network.dial(client, requests(), signal)) answers.push(answer);
    };
    return { clock, network, server, client, heard, answers, talk };
  };

  it('carries messages in order, later', async () => {
    const { clock, talk, answers } = setUp();
    void talk(5);
    await clock.runUntil(0);
    expect(answers).toEqual([]);
    await clock.runUntil(1000);
    expect(answers).toEqual(['M0', 'M1', 'M2', 'M3', 'M4']);
  });

  it('tells the client when the server dies, and refuses while nobody answers', async () => {
    const { clock, talk, server } = setUp();
    const ended = talk(1).catch((error: { code: string }) => error.code);
    await clock.runUntil(500);
    server.kill();
    await clock.runUntil(501);
    expect(await ended).toBe('unavailable');
    await expect(talk(1)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('loses what is under way when a connection drops', async () => {
    const { clock, talk, heard } = setUp(1);
    const ended = talk(3).catch((error: { code: string }) => error.code);
    await clock.runUntil(500);
    expect(await ended).toBe('unavailable');
    expect(heard).toEqual([]);
  });

  it('tells nobody anything in a partition, and both when it heals', async () => {
    const { clock, network, talk, answers, heard } = setUp();
    const outcome: string[] = [];
    void talk(2).catch((error: { code: string }) => outcome.push(error.code));
    await clock.runUntil(0);
    network.partition(['up', 'down']);
    await clock.runUntil(60_000);
    expect([answers, heard, outcome]).toEqual([[], [], []]);
    network.heal();
    await clock.runUntil(60_001);
    expect(outcome).toEqual(['unavailable']);
  });

  it('cut upwards lets answers come, and what was held up arrives when it heals', async () => {
    const { clock, network, talk, answers, heard } = setUp();
    void talk(2).catch(() => {});
    await clock.runUntil(0);
    network.partition(['up']);
    await clock.runUntil(60_000);
    expect(heard).toEqual([]);
    network.heal(true);
    await clock.runUntil(61_000);
    expect(answers).toEqual(['M0', 'M1']);
    network.partition(['down']);
    await expect(talk(1)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('may deliver a message twice', async () => {
    const { clock, talk, heard } = setUp(0, true);
    void talk(1);
    await clock.runUntil(1000);
    expect(heard).toEqual(['m0', 'm0']);
  });
});
