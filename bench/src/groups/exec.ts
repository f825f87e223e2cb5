/** A command in something that runs: from the call to the end of the command, with its output. */
import { createToFirstByte, remove, roundTrip } from '../atelier.ts';
import { image, type Place } from '../place.ts';
import type { RowGroup } from '../rounds.ts';

const lines = { atelier: 'atelier exec', podman: 'podman exec' } as const;

/** Opens the group: one environment and one container, which run until it is closed. */
export async function openExecGroup({ client, podman }: Place): Promise<RowGroup> {
  const { id: environmentId } = await createToFirstByte(client);
  const { id: containerId } = await podman.run(image);
  return {
    name: 'exec',
    rows: [{ what: 'exec round trip', line: lines.atelier, peerLine: lines.podman, ratioMax: 0.1 }],
    contenders: [
      { name: 'atelier', sample: async () => ({ [lines.atelier]: await roundTrip(client, environmentId) }) },
      { name: 'podman', sample: async () => ({ [lines.podman]: await podman.roundTrip(containerId) }) },
    ],
    samplesPerRun: 5,
    async close() {
      await podman.remove(containerId);
      await remove(client, environmentId);
    },
  };
}
