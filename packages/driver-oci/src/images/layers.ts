/**
 * What is in this home's containers/storage, read from its own files: asking buildah costs 50 ms, this costs
 * less than one. The storage replaces these files whole, so a parsed one is good until it is another file.
 *
 * The digest of an image is that of its configuration, which the storage also uses as the image's id: it names
 * the exact layers and settings whatever registry or compression they came by, it exists for images that were
 * built here and never pushed, and it can be had without asking anybody.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from '@atelier/driver';
import { AtelierError } from '@atelier/api';
import { errnoOf } from '../host/syscalls.ts';
import type { OciHome } from '../home.ts';

interface StoredImage {
  readonly id: string;
  readonly names?: readonly string[] | null;
  readonly layer?: string;
}

interface StoredLayer {
  readonly id: string;
  readonly parent?: string;
  readonly 'diff-size'?: number;
  readonly flags?: { readonly incomplete?: boolean };
}

interface StoredConfiguration {
  readonly config?: {
    readonly User?: string;
    readonly Env?: readonly string[] | null;
    readonly WorkingDir?: string;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
}

interface Parsed {
  readonly version: string;
  readonly entries: ReadonlyMap<string, { readonly id: string }>;
}

const parsed = new Map<string, Parsed>();

/** The entries of one of the storage's lists by id, parsed anew only when the file is another one. */
async function readList<T extends { readonly id: string }>(path: string): Promise<ReadonlyMap<string, T>> {
  const version = await stat(path, { bigint: true }).then(
    (status) => `${status.ino}-${status.mtimeNs}-${status.size}`,
    (error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    },
  );
  if (version === undefined) return new Map();
  const known = parsed.get(path);
  if (known?.version === version) return known.entries as ReadonlyMap<string, T>;
  const list = JSON.parse((await readFile(path, 'utf8')) || '[]') as T[];
  const entries = new Map(list.map((entry) => [entry.id, entry]));
  parsed.set(path, { version, entries });
  return entries;
}

const readImages = (home: OciHome): Promise<ReadonlyMap<string, StoredImage>> =>
  readList<StoredImage>(join(home.storageFolder, 'overlay-images/images.json'));

/** The layers of an image, uppermost first; undefined when one is missing or not whole. */
async function layerChain(home: OciHome, image: StoredImage): Promise<StoredLayer[] | undefined> {
  const layers = await readList<StoredLayer>(join(home.storageFolder, 'overlay-layers/layers.json'));
  const chain: StoredLayer[] = [];
  for (let id = image.layer ?? ''; id !== '';) {
    const layer = layers.get(id);
    if (layer === undefined || layer.flags?.incomplete === true || chain.length > 500) return undefined;
    chain.push(layer);
    id = layer.parent ?? '';
  }
  return chain;
}

function idOf(digest: string): string | undefined {
  return /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1];
}

/** The image with this digest, undefined when it is not here whole. */
export async function inspectImage(home: OciHome, digest: string): Promise<Image | undefined> {
  const id = idOf(digest);
  const image = id === undefined ? undefined : (await readImages(home)).get(id);
  const chain = image && (await layerChain(home, image));
  if (image === undefined || chain === undefined) return undefined;
  const file = `=${Buffer.from(digest).toString('base64')}`;
  const text = await readFile(join(home.storageFolder, 'overlay-images', image.id, file), 'utf8').catch(
    () => '',
  );
  if (text === '') return undefined;
  const { config = {} } = JSON.parse(text) as StoredConfiguration;
  return {
    digest,
    configuration: {
      user: config.User ?? '',
      environment: config.Env ?? [],
      workingDirectory: config.WorkingDir ?? '',
      labels: config.Labels ?? {},
    },
    sizeBytes: chain.reduce((sum, layer) => sum + (layer['diff-size'] ?? 0), 0),
  };
}

/** The image that has this full name, undefined when none has. */
export async function findImage(home: OciHome, name: string): Promise<Image | undefined> {
  for (const image of (await readImages(home)).values()) {
    if (image.names?.includes(name)) return inspectImage(home, `sha256:${image.id}`);
  }
  return undefined;
}

/**
 * Absolute folders of an image's layers, uppermost first, as an overlay stacks them; none for an image without
 * layers. Errors: `not_found` when the image is not here.
 */
export async function layersOf(home: OciHome, digest: string): Promise<string[]> {
  const image = (await readImages(home)).get(idOf(digest) ?? '');
  const chain = image && (await layerChain(home, image));
  if (chain === undefined) {
    throw new AtelierError('not_found', `image ${digest} is not on this machine: ensure it again`);
  }
  return chain.map((layer) => join(home.storageFolder, 'overlay', layer.id, 'diff'));
}
