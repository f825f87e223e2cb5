import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { credentialContext, rawPublicKey, seal, unseal } from './sealed-box.ts';

const { publicKey, privateKey } = generateKeyPairSync('x25519');
const raw = rawPublicKey(publicKey);
const secret = Buffer.from('somebody:hunter2');
const refusal = expect.objectContaining({ code: 'invalid_argument' });

describe('a sealed box', () => {
  it.each([secret, Buffer.alloc(0), Buffer.alloc(100_000, 7)])('gives back what was put in', (plain) => {
    expect(Buffer.from(unseal(privateKey, seal(raw, plain, 'here'), 'here'))).toEqual(plain);
  });

  it('shows nothing, and is another one each time', () => {
    const [one, other] = [seal(raw, secret, 'here'), seal(raw, secret, 'here')];
    expect(Buffer.from(one).includes('hunter2')).toBe(false);
    expect(one).not.toEqual(other);
    expect(one).toHaveLength(1 + 32 + secret.length + 16);
  });

  it('opens with its own key and in its own context only', () => {
    const box = seal(raw, secret, 'here');
    const stranger = generateKeyPairSync('x25519').privateKey;
    expect(() => unseal(stranger, box, 'here')).toThrow(refusal);
    expect(() => unseal(privateKey, box, 'there')).toThrow(refusal);
  });

  it('does not open when any byte of it is another one, or is missing', () => {
    const box = seal(raw, secret, 'here');
    for (let index = 0; index < box.length; index += 1) {
      const changed = Buffer.from(box);
      changed[index] = (changed[index] ?? 0) ^ 1;
      expect(() => unseal(privateKey, changed, 'here'), `byte ${index}`).toThrow(refusal);
      expect(() => unseal(privateKey, box.subarray(0, index), 'here'), `${index} bytes`).toThrow(refusal);
    }
  });

  it.each([new Uint8Array(32), new Uint8Array(31), new Uint8Array()])(
    'is not made for a key that is none',
    (none) => {
      expect(() => seal(none, secret, 'here')).toThrow(refusal);
    },
  );

  it('of a credential is for one origin in one environment', () => {
    const context = credentialContext('one', 'https://example.test/team/project.git');
    expect(credentialContext('one', 'https://example.test/other')).toBe(context);
    for (const [id, url] of [
      ['one', 'https://example.test:8443/team/project.git'],
      ['one', 'http://example.test/team/project.git'],
      ['one', 'https://example.com/team/project.git'],
      ['two', 'https://example.test/team/project.git'],
    ] as const) {
      expect(credentialContext(id, url)).not.toBe(context);
    }
  });
});
