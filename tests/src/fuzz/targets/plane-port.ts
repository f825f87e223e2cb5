/** The plane's port: raw connections, both protocols, all dialects and methods. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ResourceService } from '@atelier/api/atelier/resource';
import { RunnerLinkService } from '@atelier/api/atelier/runner_link';
import { EnvironmentService } from '@atelier/api/gitpod/environment';
import { EnvironmentAutomationService } from '@atelier/api/gitpod/environment_automation';
import { EventService } from '@atelier/api/gitpod/event';
import { IdentityService } from '@atelier/api/gitpod/identity';
import { RunnerService } from '@atelier/api/gitpod/runner';
import { RunnerConfigurationService } from '@atelier/api/gitpod/runner_configuration';
import { systemClock, systemRandom } from '@atelier/api/system';
import { bootstrap, createPlane, planeIdentity, servePlane } from '@atelier/plane';
import { openMemoryStore } from '@atelier/simulation/memory-store';
import { pick } from '@atelier/simulation/random';
import { converse, replaced } from '../connection.ts';
import { conversation, type PortShape } from '../conversation.ts';
import { chance } from '../mutate.ts';
import type { Known } from '../message.ts';
import type { Target } from '../target.ts';

const userToken = `USERTOKEN${'u'.repeat(36)}`;
const runnerToken = `RUNNERTOKEN${'r'.repeat(36)}`;
const knownId = '0190dddd-0000-7000-8000-00000000000a';
const unknownId = '0190dddd-0000-7000-8000-00000000000b';
const urls = [
  'https://example.test/a/b',
  'file:///nowhere',
  'ssh://git@example.test/a',
  'http://[::1]/x',
] as const;

const known: Known = (field, random) => {
  const isText = field.fieldKind === 'scalar' || field.fieldKind === 'list';
  if (!isText || !chance(random, 0.8)) return undefined;
  if (/(?:^|_)ids?$/.test(field.name)) return chance(random, 0.7) ? knownId : unknownId;
  if (field.name.endsWith('url')) return pick(random, urls);
  if (field.name === 'page_size') return 10n;
  return undefined;
};

const shape: PortShape = {
  services: [
    EnvironmentService,
    EnvironmentAutomationService,
    EventService,
    IdentityService,
    RunnerService,
    RunnerConfigurationService,
    ResourceService,
    RunnerLinkService,
  ],
  paths: [
    '/',
    '/api',
    '/api/',
    '//api/x',
    '/api/%00',
    '*',
    'http://localhost/api/x',
    '/api/../api/x',
    '/api/__proto__/x',
  ],
  base: '/api',
  tokens: [userToken, runnerToken, 'wrong'],
  known,
  http1: true,
};

/** The target. */
export const planePort: Target = {
  lanes: 8,
  make: (random) => conversation(random, shape),
  async open() {
    const folder = await mkdtemp(join(tmpdir(), 'atelier-fuzz-'));
    const store = openMemoryStore();
    const parts = { store, clock: systemClock, random: systemRandom };
    const identity = await planeIdentity(store, systemClock, systemRandom);
    const plane = createPlane({ ...parts, ...identity, log: () => undefined });
    const tokenFile = join(folder, 'token');
    const runnerTokenFile = join(folder, 'runner-token');
    await bootstrap(plane.context, plane.tokens, { tokenFile, runnerTokenFile, memoryBytes: 2 ** 33 });
    await plane.start();
    const listener = await servePlane(plane, { host: '127.0.0.1', port: 0 });
    const token = (await readFile(tokenFile, 'utf8')).trim();
    const call = async (method: string): Promise<Record<string, { id?: string }>> => {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
      const body = JSON.stringify({ spec: { desiredPhase: 'ENVIRONMENT_PHASE_STOPPED' } });
      const response = await fetch(`${listener.url}/api/gitpod.v1.${method}`, {
        method: 'POST',
        headers,
        body,
      });
      if (!response.ok)
        throw new Error(`an honest call is answered with ${response.status}: ${await response.text()}`);
      return (await response.json()) as Record<string, { id?: string }>;
    };
    const { environment } = await call('EnvironmentService/CreateEnvironment');
    const replacements = {
      [userToken]: token,
      [runnerToken]: (await readFile(runnerTokenFile, 'utf8')).trim(),
      [knownId]: environment?.id ?? '',
    };
    return {
      run: (input) =>
        converse(connect(listener.port, '127.0.0.1'), replaced(input as Uint8Array, replacements)),
      check: async () => void (await call('EnvironmentService/CreateEnvironment')),
      async close() {
        await plane.stop();
        await listener.close();
        await store.close();
        await rm(folder, { recursive: true });
      },
    };
  },
};
