/**
 * The first start of a plane for one person on one machine: an organization, a user, a runner, its classes,
 * and the two tokens as files that only their owner can read. Every later start finds them.
 */
import { generateKeyPairSync, createPublicKey } from 'node:crypto';
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { makeId, toAtelierError, type Clock, type Random } from '@atelier/api';
import { EnvironmentClassSchema } from '@atelier/api/gitpod/environment_class';
import { RunnerKind, RunnerProvider } from '@atelier/api/gitpod/runner';
import type { Store } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import type { PlaneContext } from '../context.ts';
import { classConfiguration } from '../handlers/environment-class.ts';
import { writeRunner } from '../handlers/runner.ts';
import type { Principal } from './principal.ts';
import type { Tokens } from './tokens.ts';

/** What a plane keeps for itself. */
export interface PlaneIdentity {
  readonly planeId: string;
  readonly signingKey: PlaneContext['signingKey'];
}

const identityId = 'plane';

/** Reads who this plane is, or decides it. */
export async function planeIdentity(store: Store, clock: Clock, random: Random): Promise<PlaneIdentity> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const fresh = {
    planeId: makeId(clock.nowMs(), random),
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  // Two replicas may start at once: the first one's key stands, for both.
  const row = await store.create('setting', {
    id: identityId,
    organizationId: '',
    idempotencyKey: identityId,
    value: fresh,
  });
  const { planeId = '', privatePem = '' } = row.value;
  const publicDer = createPublicKey(privatePem).export({ type: 'spki', format: 'der' });
  return { planeId, signingKey: { privatePem, publicDer } };
}

/** Where the tokens go, and how large the machine is. */
export interface BootstrapOptions {
  readonly tokenFile: string;
  readonly runnerTokenFile: string;
  readonly memoryBytes: number;
}

/** Makes what is missing. */
export async function bootstrap(
  plane: PlaneContext,
  tokens: Tokens,
  options: BootstrapOptions,
): Promise<void> {
  const user = await ensureUser(plane);
  const runnerId = await ensureRunner(plane, user, options.memoryBytes);
  await ensureTokenFile(options.tokenFile, tokens, user);
  await ensureTokenFile(options.runnerTokenFile, tokens, { ...user, kind: 'runner', id: runnerId });
}

async function ensureUser(plane: PlaneContext): Promise<Principal> {
  const { store, clock, random } = plane;
  const organizationId = makeId(clock.nowMs(), random);
  const organization = await store.create('organization', {
    id: organizationId,
    organizationId: '',
    idempotencyKey: 'first',
    value: { id: organizationId, name: 'Home' },
  });
  const id = makeId(clock.nowMs(), random);
  const user = await store.create('user', {
    id,
    organizationId: organization.id,
    idempotencyKey: 'first',
    value: { id, name: 'owner' },
  });
  return { kind: 'user', id: user.id, organizationId: organization.id };
}

async function ensureRunner(plane: PlaneContext, user: Principal, memoryBytes: number): Promise<string> {
  const { store, clock, random } = plane;
  const found = await store.list('runner', {
    organizationId: user.organizationId,
    sort: { by: 'id', order: 'ascending' },
  });
  const known = found.rows.find((row) => row.value.kind === RunnerKind.LOCAL_CONFIGURATION);
  if (known) return known.id;
  const runner = await writeRunner(plane, user, {
    name: 'This machine',
    kind: RunnerKind.LOCAL_CONFIGURATION,
    provider: RunnerProvider.LINUX_HOST,
  });
  const memoryMib = Math.floor(memoryBytes / 1024 / 1024);
  const classes = [
    {
      displayName: 'Regular',
      description: 'Half of the memory.',
      cpuWeight: 100,
      memoryMib: Math.floor(memoryMib / 2),
    },
    {
      displayName: 'Large',
      description: 'Most of the memory.',
      cpuWeight: 200,
      memoryMib: Math.floor(memoryMib * 0.85),
    },
    {
      displayName: 'Small',
      description: 'An eighth of the memory.',
      cpuWeight: 50,
      memoryMib: Math.floor(memoryMib / 8),
    },
  ];
  for (const { displayName, description, ...limits } of classes) {
    const id = makeId(clock.nowMs(), random);
    const configuration = classConfiguration({ ...limits, processesMax: 8192 });
    const value = create(EnvironmentClassSchema, {
      id,
      runnerId: runner.runnerId,
      displayName,
      description,
      configuration,
      enabled: true,
    });
    await store.create('environmentClass', { id, organizationId: user.organizationId, value });
  }
  return runner.runnerId;
}

/** A token that works for this principal is left as it is; any other one is replaced. Only its owner may read it. */
async function ensureTokenFile(path: string, tokens: Tokens, principal: Principal): Promise<void> {
  const present = (await readFile(path, 'utf8').catch(() => '')).trim();
  const known = present === '' ? undefined : await tokens.authenticate(present).catch(ignoreUnknown);
  if (known?.kind === principal.kind && known.id === principal.id) {
    await chmod(path, 0o600);
    return;
  }
  const token = await tokens.issue(principal, 'access', 0);
  const half = `${path}.new`;
  await rm(half, { force: true });
  await writeFile(half, `${token}\n`, { mode: 0o600, flag: 'wx' });
  await rename(half, path);
}

function ignoreUnknown(error: unknown): undefined {
  if (toAtelierError(error).code !== 'unauthenticated') throw error;
}
