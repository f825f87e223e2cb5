import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { EnvironmentSchema, EnvironmentService, type Environment } from '@atelier/api/gitpod/environment';
import { RunnerKind, RunnerService } from '@atelier/api/gitpod/runner';
import { credentialContext, rawPublicKey, unseal } from '@atelier/api/sealed-box';
import { startEmbeddedTestServer, stopTestServer, type TestServer } from '@atelier/store/testing';
import { toJsonString } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { startTestPlane, type TestPlane } from '../testing/test-plane.ts';

const secret = 'hunter2-secret';
const remoteUri = 'https://example.test/team/project.git';
const withSecret = `https://somebody:${secret}@example.test/team/project.git`;

let server: TestServer;
let test: TestPlane;

beforeAll(async () => {
  server = await startEmbeddedTestServer();
});
afterAll(() => stopTestServer(server));
beforeEach(async () => {
  test = await startTestPlane(server);
});
afterEach(() => test.stop());

const content = (uri: string) => ({
  initializer: { specs: [{ spec: { case: 'git', value: { remoteUri: uri } } as const }] },
});

/** A runner of the user that has said its key. */
function connect(): KeyObject {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  test.connect({ publicKey: rawPublicKey(publicKey) });
  return privateKey;
}

async function create(name: string, key?: string): Promise<Environment> {
  const headers = key === undefined ? {} : { headers: { 'atelier-idempotency-key': key } };
  const request = { name, spec: { content: content(withSecret) } };
  const { environment } = await test.client(EnvironmentService).createEnvironment(request, headers);
  return environment ?? expect.unreachable();
}

function opened(environment: Environment | undefined, privateKey: KeyObject): string[] {
  const context = credentialContext(environment?.id ?? '', remoteUri);
  return (environment?.spec?.content?.sealedCredentials ?? []).map(({ runnerId, sealed }) => {
    expect(runnerId).toBe(test.runnerId);
    return Buffer.from(unseal(privateKey, sealed, context)).toString();
  });
}

const stored = async (id: string) => (await test.store.get('environment', id))?.value;
const text = (environment: Environment | undefined) =>
  environment === undefined ? '' : toJsonString(EnvironmentSchema, environment);

it('is sealed for the runner, which may say its key a moment later, and stands nowhere else', async () => {
  const creating = create('one');
  const privateKey = connect();
  const environment = await creating;
  expect(opened(environment, privateKey)).toEqual([`somebody:${secret}`]);
  expect(await stored(environment.id)).toMatchObject({ id: environment.id });
  expect(text(await stored(environment.id))).toContain(remoteUri);
  expect(text(environment) + text(await stored(environment.id))).not.toContain(secret);
  expect(JSON.stringify(test.logged)).not.toContain(secret);
});

it('of an idempotent create is the first one’s', async () => {
  const privateKey = connect();
  const first = await create('one', 'key');
  const second = await create('one', 'key');
  // A runner may have been found for it in between.
  expect([second?.id, second?.spec?.content]).toEqual([first?.id, first?.spec?.content]);
  expect(opened(second, privateKey)).toEqual([`somebody:${secret}`]);
});

it('of an update is sealed for the runner that has the environment, and goes with its initializer', async () => {
  const privateKey = connect();
  const { id } = await create('one');
  await vi.waitFor(async () => expect((await stored(id))?.metadata?.runnerId).toBe(test.runnerId));
  const update = (uri: string) =>
    test.client(EnvironmentService).updateEnvironment({ environmentId: id, spec: { content: content(uri) } });
  const other = `https://other:${secret}@example.test/team/project.git`;
  await update(other);
  expect(opened(await stored(id), privateKey)).toEqual([`other:${secret}`]);
  expect(text(await stored(id))).not.toContain(secret);
  await update(remoteUri);
  expect(opened(await stored(id), privateKey)).toEqual([]);
});

it('is refused when there is no runner that it could be sealed for', async () => {
  await test.store.delete('runner', test.runnerId);
  const refused = create('one');
  await expect(refused).rejects.toThrow(/start a runner first, or give the URL without user and password/);
  await expect(refused).rejects.toThrow(/failed_precondition/);
  await expect(refused).rejects.not.toThrow(new RegExp(secret));
});

it('is not sealed for a runner whose key is none', async () => {
  const { runner } = await test
    .client(RunnerService)
    .createRunner({ name: 'other', kind: RunnerKind.REMOTE });
  await test.store.update('runner', runner?.runnerId ?? '', (value) => {
    if (value.status) value.status.publicKey = new Uint8Array(32);
    return value;
  });
  const privateKey = connect();
  expect(opened(await create('one'), privateKey)).toEqual([`somebody:${secret}`]);
});
