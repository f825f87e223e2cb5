/** Credentials of remotes, sealed for the runners that may need them: the plane keeps nothing that it could read. */
import { AtelierError, sleep } from '@atelier/api';
import { SealedCredentialSchema, type SealedCredential } from '@atelier/api/atelier/sealed_credential';
import type { Runner } from '@atelier/api/gitpod/runner';
import { credentialContext, seal } from '@atelier/api/sealed-box';
import { create } from '@bufbuild/protobuf';
import { allRows } from '../all-rows.ts';
import type { PlaneContext } from '../context.ts';
import type { RemoteCredential } from './initializer.ts';

/** For whom a credential is sealed. */
export interface Recipients {
  readonly environmentId: string;
  readonly organizationId: string;
  /** The class that was asked for; empty for any. */
  readonly classId: string;
  /** The runner that has the environment; empty while it has none. */
  readonly runnerId: string;
}

/** A runner says its key with its first hello: one that was just made or started is waited for. */
const helloWaitMs = 15_000;
const lookIntervalMs = 100;

/**
 * Seals a credential for the runner of the environment, or for each one that could take it. Waits a moment for a
 * runner that is there and has not said its key yet; `failed_precondition` when there is none after that.
 */
export async function sealCredential(
  plane: PlaneContext,
  credential: RemoteCredential | undefined,
  recipients: Recipients,
): Promise<SealedCredential[]> {
  if (credential === undefined) return [];
  const { userInfo, remoteUrl } = credential;
  const context = credentialContext(recipients.environmentId, remoteUrl);
  const endMs = plane.clock.nowMs() + helloWaitMs;
  for (;;) {
    const runners = await runnersFor(plane, recipients);
    const boxes = runners.flatMap(({ runnerId, status }) => {
      const sealed = sealedFor(status?.publicKey, userInfo, context);
      return sealed === undefined ? [] : [create(SealedCredentialSchema, { runnerId, sealed })];
    });
    if (boxes.length > 0) return boxes;
    if (runners.length === 0 || plane.clock.nowMs() >= endMs) throw nobody(remoteUrl);
    await sleep(plane.clock, lookIntervalMs);
  }
}

async function runnersFor(plane: PlaneContext, recipients: Recipients): Promise<Runner[]> {
  const { organizationId, classId, runnerId } = recipients;
  const all = (await allRows(plane.store, 'runner', { organizationId })).map(({ value }) => value);
  if (runnerId !== '') return all.filter((runner) => runner.runnerId === runnerId);
  const environmentClass = classId === '' ? undefined : await plane.store.get('environmentClass', classId);
  if (environmentClass === undefined) return all;
  return all.filter((runner) => runner.runnerId === environmentClass.value.runnerId);
}

/** Undefined for a runner that has no key, or one that is none. */
function sealedFor(
  publicKey: Uint8Array | undefined,
  userInfo: string,
  context: string,
): Uint8Array | undefined {
  if (publicKey === undefined || publicKey.length === 0) return undefined;
  try {
    return seal(publicKey, Buffer.from(userInfo), context);
  } catch {
    return undefined;
  }
}

function nobody(remoteUrl: string): AtelierError {
  return new AtelierError(
    'failed_precondition',
    `there is no runner yet that the credential for ${new URL(remoteUrl).host} could be sealed for: start a runner first, or give the URL without user and password`,
  );
}
