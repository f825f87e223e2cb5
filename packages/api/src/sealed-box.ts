/**
 * Sealed boxes: what anybody can put in and only the holder of one X25519 key can take out. An ephemeral key
 * agrees with the recipient's on a secret, HKDF-SHA256 makes key and nonce of it, AES-256-GCM closes the box.
 * A box is one byte of version, the ephemeral public key (32 bytes), the ciphertext, and its tag (16 bytes).
 * It is bound to a context, a text that both sides know: in another context it does not open.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { AtelierError } from './errors.ts';

const version = 1;
const keyLength = 32;
const nonceLength = 12;
const tagLength = 16;

/** Seals to a raw public key of 32 bytes; `invalid_argument` for one that is none. */
export function seal(publicKey: Uint8Array, plain: Uint8Array, context: string): Uint8Array {
  const ephemeral = generateKeyPairSync('x25519');
  const ephemeralPublic = rawPublicKey(ephemeral.publicKey);
  try {
    const secret = diffieHellman({
      privateKey: ephemeral.privateKey,
      publicKey: publicKeyOf(publicKey),
    });
    const { key, nonce } = keysOf(secret, ephemeralPublic, publicKey);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength });
    cipher.setAAD(Buffer.from(context));
    const closed = [cipher.update(plain), cipher.final()];
    return Buffer.concat([Buffer.of(version), ephemeralPublic, ...closed, cipher.getAuthTag()]);
  } catch (cause) {
    throw new AtelierError(
      'invalid_argument',
      'The key is no X25519 public key: nothing can be sealed to it.',
      {
        cause,
      },
    );
  }
}

/** Opens a box; `invalid_argument` for one of another key, of another context, or that is none. */
export function unseal(privateKey: KeyObject, sealed: Uint8Array, context: string): Uint8Array {
  const box = Buffer.from(sealed);
  const ephemeralPublic = box.subarray(1, 1 + keyLength);
  try {
    const secret = diffieHellman({ privateKey, publicKey: publicKeyOf(ephemeralPublic) });
    const { key, nonce } = keysOf(secret, ephemeralPublic, rawPublicKey(createPublicKey(privateKey)));
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength });
    decipher.setAAD(Buffer.from(context));
    decipher.setAuthTag(box.subarray(-tagLength));
    const opened = decipher.update(box.subarray(1 + keyLength, -tagLength));
    const rest = decipher.final();
    if (box[0] === version) return Buffer.concat([opened, rest]);
  } catch {
    // Why it does not open is nobody's business.
  }
  throw new AtelierError('invalid_argument', 'The sealed box does not open with this key and context.');
}

/** The raw form of an X25519 public key, 32 bytes: what is sealed to. */
export function rawPublicKey(publicKey: KeyObject): Uint8Array {
  return Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
}

/** The context of a remote's credential: one environment's, and for the remote's own origin only. */
export function credentialContext(environmentId: string, remoteUrl: string): string {
  return `credential for ${new URL(remoteUrl).origin} in environment ${environmentId}`;
}

function publicKeyOf(raw: Uint8Array): KeyObject {
  const x = Buffer.from(raw).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
}

function keysOf(secret: Uint8Array, ephemeralPublic: Uint8Array, publicKey: Uint8Array) {
  const salt = Buffer.concat([ephemeralPublic, publicKey]);
  const made = hkdfSync('sha256', secret, salt, 'atelier sealed box 1', keyLength + nonceLength);
  const bytes = Buffer.from(made);
  return { key: bytes.subarray(0, keyLength), nonce: bytes.subarray(keyLength) };
}
