/** Images and disks of a simulated machine. */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { AtelierError, requireId } from '@atelier/api';
import type { Disk, DiskDriver, Image, ImageBuild, ImageDriver, ImageRequest } from '@atelier/driver';
import type { FaultGate } from './faults.ts';
import type { SimulatedMachine } from './machine.ts';
import type { SimulatedDisk } from './workspace.ts';

/** The reference of the image for repositories that name none. */
export const baseReference = 'localhost/atelier/base';

const referencePattern = /^[a-z0-9]+([._:/-]+[a-z0-9]+)*(:[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?$/;

/** The images of a machine. Any reference that is not on localhost and has no `missing` in it can be pulled. */
export function simulatedImages(machine: SimulatedMachine, gate: FaultGate): ImageDriver {
  return {
    ensure(request, progress, signal) {
      return gate.call(
        'images.ensure',
        () => {
          const image = resolveImage(machine, request);
          progress(`${image.digest} is here`, 1);
          return image;
        },
        signal,
      );
    },
    inspect: (digest) => gate.call('images.inspect', () => machine.images.get(digest)),
    pin: (digest, owner) => gate.call('images.pin', () => void machine.pins.set(owner, digest)),
    unpin: (owner) => gate.call('images.unpin', () => void machine.pins.delete(owner)),
    listPins: () => gate.call('images.listPins', () => new Map(machine.pins)),
  };
}

function resolveImage(machine: SimulatedMachine, request: ImageRequest): Image {
  switch (request.kind) {
    case 'base':
      return imageOf(machine, machine.references.get(baseReference) ?? machine.addImage(baseReference));
    case 'build':
      return buildImage(machine, request.build);
    case 'reference':
      return imageOf(machine, findOrPull(machine, request.reference));
  }
}

function imageOf(machine: SimulatedMachine, digest: string): Image {
  const image = machine.images.get(digest);
  if (image !== undefined) return image;
  throw new AtelierError('not_found', `Image ${digest} is not here. Pull or build it first.`);
}

function findOrPull(machine: SimulatedMachine, reference: string): string {
  if (!referencePattern.test(reference)) {
    throw new AtelierError('invalid_argument', `${JSON.stringify(reference)} is not an image reference.`);
  }
  const known = machine.references.get(reference);
  if (known !== undefined) return known;
  if (!reference.startsWith('localhost/') && !reference.includes('missing'))
    return machine.addImage(reference);
  throw new AtelierError('not_found', `There is no image ${reference} on the simulated registry.`);
}

/** Understands FROM, LABEL and COPY, which is enough to succeed, to fail and to differ. */
function buildImage(machine: SimulatedMachine, build: ImageBuild): Image {
  const inside = (path: string): string => {
    const normal = posix.normalize(posix.join('.', path));
    if (!normal.startsWith('..')) return normal;
    throw new AtelierError('invalid_argument', `${path} is outside the workspace. Name a path inside it.`);
  };
  const context = inside(build.contextPath);
  const { workspace } = machine.requireDisk(build.environmentId);
  const dockerfile = workspace.get(inside(build.dockerfilePath));
  if (dockerfile === undefined) throw failedBuild(`there is no ${build.dockerfilePath} in the workspace`);
  const labels: Record<string, string> = {};
  let base: Image | undefined;
  for (const line of dockerfile.split('\n')) {
    const [instruction = '', argument = '', ...rest] = line.trim().split(/\s+/);
    if (instruction === 'FROM') base = imageOf(machine, findOrPull(machine, argument));
    if (instruction === 'LABEL') {
      const [key = '', value = ''] = argument.split('=');
      labels[key] = value;
    }
    const copied = posix.join(context, argument);
    if (instruction === 'COPY' && !workspace.has(copied)) throw failedBuild(`COPY ${argument}: no such file`);
    if (instruction === 'RUN' && argument === 'false')
      throw failedBuild(`RUN false ${rest.join(' ')}: exit 1`);
  }
  if (base === undefined) throw failedBuild('the Dockerfile has no FROM');
  const inputs = JSON.stringify([base.digest, dockerfile, build.target ?? '', build.buildArguments]);
  const hash = createHash('sha256').update(inputs).digest('hex');
  const digest = machine.addImage(`localhost/atelier/built:${hash.slice(0, 16)}`, {
    ...base.configuration,
    labels: { ...base.configuration.labels, ...labels },
  });
  return imageOf(machine, digest);
}

function failedBuild(lastLine: string): AtelierError {
  return new AtelierError('failed_precondition', `The build failed. Its last line: ${lastLine}`);
}

/** The disks of a machine. */
export function simulatedDisks(machine: SimulatedMachine, gate: FaultGate): DiskDriver {
  return {
    list: () => gate.call('disks.list', () => [...machine.disks.values()].map(diskOf)),
    inspect: (environmentId) =>
      gate.call('disks.inspect', () => {
        const disk = machine.disks.get(environmentId);
        return disk && diskOf(disk);
      }),
    ensure: (environmentId) => gate.call('disks.ensure', () => diskOf(ensureDisk(machine, environmentId))),
    ensureGeneration: (environmentId, generation, imageDigest) =>
      gate.call('disks.ensureGeneration', () =>
        diskOf(ensureRootLayer(machine, environmentId, generation, imageDigest)),
      ),
    removeGeneration: (environmentId, generation) =>
      gate.call('disks.removeGeneration', () => {
        const uses = machine.running(environmentId).filter(({ start: { root } }) => {
          return root.kind === 'disk' && root.generation === generation;
        });
        requireUnused(uses, `Root layer ${generation} of environment ${environmentId}`);
        machine.disks.get(environmentId)?.generations.delete(generation);
      }),
    clearWorkspace: (environmentId) =>
      gate.call('disks.clearWorkspace', () => {
        requireUnused(usersOfDisk(machine, environmentId), `The workspace of environment ${environmentId}`);
        const disk = machine.disks.get(environmentId);
        if (disk === undefined) return;
        disk.workspace = new Map();
        disk.workspaceVersion += 1;
      }),
    remove: (environmentId) =>
      gate.call('disks.remove', () => {
        requireUnused(usersOfDisk(machine, environmentId), `The disk of environment ${environmentId}`);
        machine.disks.delete(environmentId);
      }),
    usage: (environmentId) =>
      gate.call('disks.usage', () => {
        const files = [...machine.requireDisk(environmentId).workspace.values()];
        return files.reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
      }),
  };
}

function diskOf(disk: SimulatedDisk): Disk {
  const generations = [...disk.generations]
    .map(([generation, { imageDigest }]) => ({ generation, imageDigest }))
    .toSorted((one, other) => one.generation - other.generation);
  return { environmentId: disk.environmentId, generations };
}

function ensureDisk(machine: SimulatedMachine, environmentId: string): SimulatedDisk {
  requireId(environmentId, 'environment id');
  const known = machine.disks.get(environmentId);
  if (known !== undefined) return known;
  const disk: SimulatedDisk = {
    environmentId,
    generations: new Map(),
    workspace: new Map(),
    workspaceVersion: 0,
  };
  machine.disks.set(environmentId, disk);
  return disk;
}

function ensureRootLayer(
  machine: SimulatedMachine,
  environmentId: string,
  generation: number,
  imageDigest: string,
): SimulatedDisk {
  const disk = machine.requireDisk(environmentId);
  imageOf(machine, imageDigest);
  const known = disk.generations.get(generation);
  if (known === undefined) {
    disk.generations.set(generation, { imageDigest, lifecycle: new Map() });
  } else if (known.imageDigest !== imageDigest) {
    throw new AtelierError(
      'already_exists',
      `Root layer ${generation} of environment ${environmentId} lies on ${known.imageDigest}, not on ${imageDigest}. Take the next generation.`,
    );
  }
  return disk;
}

function usersOfDisk(
  machine: SimulatedMachine,
  environmentId: string,
): readonly { start: { name: string } }[] {
  return machine.running(environmentId).filter(({ start }) => {
    return start.root.kind === 'disk' || start.mounts.some(({ kind }) => kind === 'workspace');
  });
}

function requireUnused(users: readonly { start: { name: string } }[], what: string): void {
  const names = users.map(({ start }) => start.name);
  if (names.length === 0) return;
  throw new AtelierError(
    'failed_precondition',
    `${what} is in use by ${names.join(', ')}. Remove that first.`,
  );
}
