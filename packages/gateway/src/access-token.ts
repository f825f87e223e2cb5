/**
 * Tokens with which a client enters one environment: signed by the plane (Ed25519), checked by the runner
 * with the plane's public key, so that the way in works while the plane is away.
 */
import { createPublicKey, createPrivateKey, type KeyObject } from 'node:crypto';
import { AtelierError } from '@atelier/api';
import { jwtVerify, SignJWT } from 'jose';

/** What a token opens: `ops` everything inside, `logs` only its logs. */
export type AccessScope = 'ops' | 'logs';

/** What a token says: which environment it opens, how far, and for whom it was made. */
export interface AccessClaims {
  readonly environmentId: string;
  readonly scope: AccessScope;
  /** Id of the user who asked for it. */
  readonly subjectId: string;
}

/** Signs a token that ends at `expiresAtMs`. The key is PKCS #8 in PEM form. */
export function signAccessToken(
  privateKeyPem: string,
  claims: AccessClaims,
  expiresAtMs: number,
): Promise<string> {
  return new SignJWT({ environmentId: claims.environmentId, scope: claims.scope })
    .setProtectedHeader({ alg: 'EdDSA' })
    .setSubject(claims.subjectId)
    .setAudience('atelier-environment')
    .setExpirationTime(Math.floor(expiresAtMs / 1000))
    .sign(createPrivateKey(privateKeyPem));
}

/** Checks a token; `unauthenticated` for one that is not ours, has ended, or does not say what it opens. */
export async function verifyAccessToken(
  publicKeyDer: Uint8Array,
  token: string,
  nowMs: number,
): Promise<AccessClaims> {
  try {
    const { payload } = await jwtVerify(token, publicKeyOf(publicKeyDer), {
      audience: 'atelier-environment',
      algorithms: ['EdDSA'],
      currentDate: new Date(nowMs),
    });
    const { environmentId, scope, sub } = payload;
    if (typeof environmentId === 'string' && (scope === 'ops' || scope === 'logs')) {
      return { environmentId, scope, subjectId: sub ?? '' };
    }
  } catch (cause) {
    throw new AtelierError('unauthenticated', 'the access token is not valid (any more); ask for a new one', {
      cause,
    });
  }
  throw new AtelierError('unauthenticated', 'the access token does not say what it opens; ask for a new one');
}

const publicKeys = new Map<string, KeyObject>();

/** Reading a key takes longer than checking with it, and there is one key per plane. */
function publicKeyOf(der: Uint8Array): KeyObject {
  const id = Buffer.from(der).toString('base64');
  let key = publicKeys.get(id);
  if (!key) {
    key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
    publicKeys.clear();
    publicKeys.set(id, key);
  }
  return key;
}
