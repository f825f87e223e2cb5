/** Who this runner is: the id that its plane gave it, and a key of its own. Decided once per home. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AtelierError, requireId } from '@atelier/api';
import { rawPublicKey, unseal } from '@atelier/api/sealed-box';
import { absentAs, writeDurably } from './storage.ts';

/** Who the runner is: what its plane and whoever seals a secret for it know it by. */
export interface RunnerIdentity {
  readonly runnerId: string;
  /** X25519, 32 bytes: secrets are sealed to it. */
  readonly publicKey: Uint8Array;
  /** Opens what was sealed to that key for this context; `invalid_argument` when it does not open. */
  unseal(sealed: Uint8Array, context: string): Uint8Array;
}

const identityVersion = 1;

interface IdentityDocument {
  readonly version: number;
  readonly runnerId: string;
  readonly privateKeyPem: string;
}

/**
 * Reads the identity, or makes one with the id that `askRunnerId` gives, which is asked only then.
 * `data_loss` for a document that cannot be used: it is left where it is, since secrets are sealed to its key.
 */
export async function openIdentity(
  path: string,
  askRunnerId: () => Promise<string>,
): Promise<RunnerIdentity> {
  const text = await readFile(path, 'utf8').catch(absentAs(undefined));
  if (text !== undefined) return identityOf(parse(text, path));
  const { privateKey } = generateKeyPairSync('x25519');
  const document: IdentityDocument = {
    version: identityVersion,
    runnerId: requireId(await askRunnerId(), 'runner id'),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  await writeDurably(path, `${JSON.stringify(document, undefined, 1)}\n`);
  return identityOf(document);
}

function identityOf({ runnerId, privateKeyPem }: IdentityDocument): RunnerIdentity {
  return runnerIdentity(runnerId, createPrivateKey(privateKeyPem));
}

/** The identity of a runner with this X25519 key, which stays in here. */
export function runnerIdentity(runnerId: string, privateKey: KeyObject): RunnerIdentity {
  return {
    runnerId,
    publicKey: rawPublicKey(createPublicKey(privateKey)),
    unseal: (sealed, context) => unseal(privateKey, sealed, context),
  };
}

function parse(text: string, path: string): IdentityDocument {
  try {
    const document = JSON.parse(text) as IdentityDocument;
    if (document.version === identityVersion && typeof document.privateKeyPem === 'string') {
      requireId(document.runnerId, 'runner id');
      return document;
    }
  } catch {
    // Said below, together with a document of another form.
  }
  throw new AtelierError(
    'data_loss',
    `The runner's identity ${path} cannot be used. Put it back from a copy; without its key, secrets that were sealed to it are lost.`,
  );
}
