/** Who this runner is: the id that its plane gave it, and a key of its own. Decided once per home. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AtelierError, requireId } from '@atelier/api';
import type { RunnerIdentity } from './runner.ts';
import { absentAs, writeDurably } from './storage.ts';

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
  const { x } = createPublicKey(createPrivateKey(privateKeyPem)).export({ format: 'jwk' });
  return { runnerId, publicKey: Buffer.from(x ?? '', 'base64url') };
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
