import { generateKeyPairSync } from 'node:crypto';
import { SealedCredentialSchema } from '@atelier/api/atelier/sealed_credential';
import { credentialContext, rawPublicKey, seal } from '@atelier/api/sealed-box';
import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { runnerIdentity } from '../identity.ts';
import { withCredential } from './credential.ts';
import { parseRemote } from './remote.ts';

const { privateKey } = generateKeyPairSync('x25519');
const identity = runnerIdentity('ours', privateKey);
const remote = parseRemote('https://example.test/team/project.git');

const boxFor = (runnerId: string, { environmentId = 'one', publicKey = identity.publicKey } = {}) =>
  create(SealedCredentialSchema, {
    runnerId,
    sealed: seal(
      publicKey,
      Buffer.from('some%40body:p%2Fw'),
      credentialContext(environmentId, 'https://example.test/'),
    ),
  });
const opened = (boxes: readonly ReturnType<typeof boxFor>[], of = remote) =>
  withCredential(of, boxes, 'one', identity);

it('comes from the box that names this runner', () => {
  const credential = { username: 'some@body', password: 'p/w' };
  expect(opened([boxFor('other'), boxFor('ours')])).toEqual({ ...remote, credential });
});

it('is none when nothing was sealed', () => {
  expect(opened([])).toBe(remote);
});

it.each([
  ['is for another runner', [boxFor('other')], remote, /sealed for other runners/],
  ['is of another environment', [boxFor('ours', { environmentId: 'two' })], remote, /does not open/],
  ['is for another origin', [boxFor('ours')], parseRemote('https://example.com/p'), /does not open/],
  [
    'was sealed to another key',
    [boxFor('ours', { publicKey: rawPublicKey(generateKeyPairSync('x25519').publicKey) })],
    remote,
    /does not open/,
  ],
])('is refused for good when the box %s', (_what, boxes, of, message) => {
  const refusal = { code: 'failed_precondition', message: expect.stringMatching(message) };
  expect(() => opened(boxes, of)).toThrow(expect.objectContaining(refusal));
});
