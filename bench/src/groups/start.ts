/** Starting: create to first byte, from the client and typed, and start of what was stopped. */
import { createToFirstByte, remove, startToFirstByte, stop } from '../atelier.ts';
import { openDevcontainer } from '../peers/devcontainer.ts';
import { firstCommand } from '../peers/podman.ts';
import { image, type Place } from '../place.ts';
import { runProgram, timeToFirstByte } from '../program.ts';
import type { Contender, Row, RowGroup } from '../rounds.ts';

const lines = {
  created: 'atelier create',
  createdRepository: 'atelier create, repository',
  typed: 'atelier up + exec, typed',
  started: 'atelier start',
  podmanRun: 'podman run + exec',
  podmanStart: 'podman start + exec',
  devcontainer: 'devcontainer up + exec',
} as const;

const rows: readonly Row[] = [
  row('create to first byte, empty workspace', lines.created, lines.devcontainer, 0.1),
  row('create to first byte, empty workspace', lines.created, lines.podmanRun, 0.5),
  row('create to first byte, git repository', lines.createdRepository, lines.devcontainer, undefined),
  row('the same, typed', lines.typed, lines.devcontainer, 0.2),
  row('start of a stopped one to first byte', lines.started, lines.podmanStart, 0.5),
];

function row(what: string, line: string, peerLine: string, ratioMax: number | undefined): Row {
  return { what, line, peerLine, ratioMax };
}

/** Opens the group: nothing is made before the first sample. */
export async function openStartGroup(place: Place): Promise<RowGroup> {
  return {
    name: 'start',
    rows,
    contenders: [
      emptyEnvironment(place),
      repositoryEnvironment(place),
      typed(place),
      podman(place),
      devcontainer(place),
    ],
    samplesPerRun: 1,
    close: async () => undefined,
  };
}

function emptyEnvironment({ client }: Place): Contender {
  return {
    name: 'environment, empty workspace',
    async sample() {
      const { id, tookMs } = await createToFirstByte(client);
      await stop(client, id);
      const startedMs = await startToFirstByte(client, id);
      await remove(client, id);
      return { [lines.created]: tookMs, [lines.started]: startedMs };
    },
  };
}

function repositoryEnvironment({ client, repository }: Place): Contender {
  return {
    name: 'environment, git repository',
    async sample() {
      const { id, tookMs } = await createToFirstByte(client, repository);
      await remove(client, id);
      return { [lines.createdRepository]: tookMs };
    },
  };
}

function typed({ client, launcher, repository }: Place): Contender {
  const { path, environment } = launcher;
  return {
    name: 'typed command line',
    async sample() {
      const up = await runProgram({ arguments: [path, 'up', repository], environment });
      const execMs = await timeToFirstByte({
        arguments: [path, 'exec', repository, '--', ...firstCommand],
        environment,
      });
      for (const { id } of await client.environments.list()) await remove(client, id);
      return { [lines.typed]: up.tookMs + execMs };
    },
  };
}

function podman({ podman }: Place): Contender {
  return {
    name: 'podman',
    async sample() {
      const { id, tookMs } = await podman.run(image);
      const runMs = tookMs + (await podman.firstByte(id));
      await podman.call('stop', '--time=0', id);
      const startMs = (await podman.start(id)) + (await podman.firstByte(id));
      await podman.remove(id);
      return { [lines.podmanRun]: runMs, [lines.podmanStart]: startMs };
    },
  };
}

function devcontainer({ homeFolder, corner, podman, repository }: Place): Contender {
  const peer = openDevcontainer(homeFolder, corner, podman);
  return {
    name: 'devcontainer',
    async sample() {
      try {
        return { [lines.devcontainer]: await peer.createToFirstByte(repository) };
      } finally {
        await peer.remove();
      }
    },
  };
}
