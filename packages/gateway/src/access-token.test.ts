import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signAccessToken, verifyAccessToken, type AccessClaims } from './access-token.ts';

const nowMs = 1_800_000_000_000;
const claims: AccessClaims = { environmentId: 'one', scope: 'ops', subjectId: 'somebody' };

function makeKey(): { privatePem: string; publicDer: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicDer: publicKey.export({ type: 'spki', format: 'der' }),
  };
}

const key = makeKey();

describe('an access token', () => {
  it('says what it opens, until it ends', async () => {
    const token = await signAccessToken(key.privatePem, claims, nowMs + 1000);
    expect(await verifyAccessToken(key.publicDer, token, nowMs)).toEqual(claims);
    await expect(verifyAccessToken(key.publicDer, token, nowMs + 1000)).rejects.toMatchObject({
      code: 'unauthenticated',
      message: 'the access token is not valid (any more); ask for a new one',
    });
  });

  it('of another plane opens nothing, also in turn with one that does', async () => {
    const other = makeKey();
    const token = await signAccessToken(key.privatePem, claims, nowMs + 1000);
    await expect(verifyAccessToken(other.publicDer, token, nowMs)).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    expect(await verifyAccessToken(key.publicDer, token, nowMs)).toEqual(claims);
  });

  it.each([
    ['changed', (token: string) => change(token, { environmentId: 'two' })],
    ['without its signature', (token: string) => `${token.split('.').slice(0, 2).join('.')}.`],
    ['that says it needs no signature', () => `${encode({ alg: 'none' })}.${encode(claims)}.`],
    ['that is garbage', () => 'garbage'],
    ['that is empty', () => ''],
  ])('%s is refused', async (_what, alter) => {
    const token = alter(await signAccessToken(key.privatePem, claims, nowMs + 1000));
    await expect(verifyAccessToken(key.publicDer, token, nowMs)).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('that does not say what it opens is refused', async () => {
    const unknown = { ...claims, scope: 'everything' as 'ops' };
    const token = await signAccessToken(key.privatePem, unknown, nowMs + 1000);
    await expect(verifyAccessToken(key.publicDer, token, nowMs)).rejects.toThrow(
      'does not say what it opens',
    );
  });
});

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function change(token: string, claimed: Record<string, string>): string {
  const [header, payload = '', signature] = token.split('.');
  const said = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as object;
  return [header, encode({ ...said, ...claimed }), signature].join('.');
}
