/** The credential of a remote, as the plane has sealed it for this runner. */
import { AtelierError } from '@atelier/api';
import type { SealedCredential } from '@atelier/api/atelier/sealed_credential';
import { credentialContext } from '@atelier/api/sealed-box';
import type { RunnerIdentity } from '../identity.ts';
import { credentialIn, type GitRemote } from './remote.ts';

/**
 * The remote with the credential that is in the box for this runner; as it is when there is no box at all.
 * `failed_precondition` when none of the boxes is for this runner, or when its own does not open.
 */
export function withCredential(
  remote: GitRemote,
  boxes: readonly SealedCredential[],
  environmentId: string,
  identity: RunnerIdentity,
): GitRemote {
  if (boxes.length === 0 || remote.kind !== 'http') return remote;
  const box = boxes.find(({ runnerId }) => runnerId === identity.runnerId);
  if (box === undefined) throw unusable(remote, 'was sealed for other runners than the one that it runs on');
  let userInfo: string;
  try {
    const opened = identity.unseal(box.sealed, credentialContext(environmentId, remote.url));
    userInfo = Buffer.from(opened).toString();
  } catch {
    throw unusable(remote, 'does not open with the key of this runner');
  }
  return { ...remote, credential: credentialIn(new URL(remote.url.replace('://', `://${userInfo}@`))) };
}

function unusable({ host }: GitRemote, why: string): AtelierError {
  return new AtelierError(
    'failed_precondition',
    `The credential for ${host} ${why}. Make the environment anew from the URL with its credential.`,
  );
}
