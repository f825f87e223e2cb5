/** Who needs which image: one small file per owner, whole or not there. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { OciHome } from '../home.ts';
import { namesIn, readJson, writeJson } from '../host/files.ts';

function fileOf(home: OciHome, owner: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(owner)) {
    const message = `"${owner.slice(0, 200)}" cannot own a pin: letters, digits, "-" and "_" make up a name`;
    throw new AtelierError('invalid_argument', message);
  }
  return join(home.folder, 'storage-pins', `${owner}.json`);
}

/** Pins an image for an owner; the owner's earlier pin is replaced. */
export function writePin(home: OciHome, digest: string, owner: string): void {
  const file = fileOf(home, owner);
  mkdirSync(join(home.folder, 'storage-pins'), { recursive: true, mode: 0o700 });
  writeJson(file, { digest });
}

/** Ends an owner's pin; none is success. */
export function removePin(home: OciHome, owner: string): void {
  rmSync(fileOf(home, owner), { force: true });
}

/** Every owner with the digest of its image. */
export function readPins(home: OciHome): Map<string, string> {
  const folder = join(home.folder, 'storage-pins');
  const pins = new Map<string, string>();
  for (const name of namesIn(folder).toSorted()) {
    const pin = name.endsWith('.json') ? readJson<{ digest: string }>(join(folder, name)) : undefined;
    if (pin !== undefined) pins.set(name.slice(0, -'.json'.length), pin.digest);
  }
  return pins;
}
