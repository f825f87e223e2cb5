/** The public client, unmodified, on a daemon with the simulated driver: many environments at once. */
import { readFileSync, rmSync } from 'node:fs';
import { publicClient } from '@atelier/plane/testing';
import type Gitpod from '@gitpod/sdk';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Atelier } from './atelier.ts';

const environmentsListed = 250;

let atelier: Atelier;
let client: Gitpod;

beforeAll(async () => {
  atelier = new Atelier('many');
  await atelier.ok('daemon', 'start', '--driver', 'simulated');
  const { url, tokenFile } = await atelier.daemon();
  client = publicClient(url, readFileSync(tokenFile, 'utf8').trim());
});

// The simulated machine ends with its daemon: there is nothing to delete first.
afterAll(async () => {
  await atelier.ok('daemon', 'stop');
  rmSync(atelier.folder, { recursive: true });
});

async function create(): Promise<string> {
  const { environment } = await client.environments.create({
    spec: {
      desiredPhase: 'ENVIRONMENT_PHASE_RUNNING',
      content: { initializer: { specs: [{ contextUrl: { url: 'https://example.test/guestbook' } }] } },
    },
  });
  return environment.id;
}

it('lists 250 environments, each exactly once, while others come and go', { timeout: 300_000 }, async () => {
  const kept = new Set(await Promise.all(Array.from({ length: environmentsListed }, create)));
  expect(kept.size).toBe(environmentsListed);
  const passing = [await create()];
  const seen: string[] = [];
  for await (const { id } of client.environments.list({ pagination: { pageSize: 40 } })) {
    seen.push(id);
    if (seen.length % 50 !== 0) continue;
    passing.push(await create());
    await client.environments.delete({ environmentId: passing.shift() ?? '' });
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.filter((id) => kept.has(id))).toHaveLength(environmentsListed);
});
