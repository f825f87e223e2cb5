import { SealedCredentialSchema } from '@atelier/api/atelier/sealed_credential';
import {
  CreateEnvironmentRequestSchema,
  EnvironmentPhase,
  EnvironmentRole,
  EnvironmentSchema,
  EnvironmentSpecSchema,
  type CreateEnvironmentRequest,
} from '@atelier/api/gitpod/environment';
import { create, toJsonString, type MessageInitShape } from '@bufbuild/protobuf';
import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { defaultName, makeEnvironment } from './make.ts';

const nowMs = 1_800_000_000_000;
const owner = { kind: 'user', id: 'somebody', organizationId: 'ours' } as const;
const facts = { id: 'one', name: 'guestbook', owner, nowMs, session: 'fresh', sealedCredentials: [] };

type Spec = MessageInitShape<typeof EnvironmentSpecSchema>;

const request = (spec: Spec = {}): CreateEnvironmentRequest =>
  create(CreateEnvironmentRequestSchema, { spec });
const contextUrl = (url: string): Spec => ({
  content: { initializer: { specs: [{ spec: { case: 'contextUrl', value: { url } } }] } },
});
const git = (remoteUri: string): Spec => ({
  content: { initializer: { specs: [{ spec: { case: 'git', value: { remoteUri } } }] } },
});

describe('a new environment', () => {
  it.each([request(), create(CreateEnvironmentRequestSchema)])('has every default', (asked) => {
    const { id, metadata, spec, status } = makeEnvironment(asked, facts);
    expect(id).toBe('one');
    const creator = { id: 'somebody' };
    const { DEFAULT } = EnvironmentRole;
    expect(metadata).toMatchObject({
      organizationId: 'ours',
      name: 'guestbook',
      creator,
      role: DEFAULT,
      runnerId: '',
    });
    expect(metadata?.createdAt && timestampMs(metadata.createdAt)).toBe(nowMs);
    expect(spec).toMatchObject({ specVersion: 1n, desiredPhase: EnvironmentPhase.RUNNING });
    const parts = [spec?.machine, spec?.content, spec?.devcontainer, spec?.automationsFile];
    expect(parts.map((part) => part?.session)).toEqual(['fresh', 'fresh', 'fresh', 'fresh']);
    const { disconnected } = spec?.timeout ?? {};
    expect(disconnected && durationMs(disconnected)).toBe(30 * 60 * 1000);
    expect(status).toMatchObject({ statusVersion: 1n, phase: EnvironmentPhase.CREATING });
    expect(status?.detail?.reason).toBe('waiting for a runner');
  });

  it('keeps what was asked for, and leaves the request as it is', () => {
    const asked = request({
      desiredPhase: EnvironmentPhase.STOPPED,
      machine: { class: 'large', session: 'mine' },
      timeout: { disconnected: { seconds: 0n } },
    });
    const { spec, status } = makeEnvironment(asked, facts);
    expect(spec?.machine).toMatchObject({ class: 'large', session: 'mine' });
    expect(spec?.timeout?.disconnected?.seconds).toBe(0n);
    expect(status?.phase).toBe(EnvironmentPhase.STOPPED);
    expect(asked.spec).toMatchObject({ specVersion: 0n });
    expect(asked.spec?.content).toBeUndefined();
  });

  it.each([
    contextUrl('https://me:secret@example.test/a/b'),
    contextUrl('https:/me:secret@example.test/a/b/tree/main'),
    git('https://me:secret@example.test/a/b'),
    git('https://secret@example.test/a/b'),
    { devcontainer: { dotfiles: { repository: 'https://me:secret@example.test/a/b' } } },
  ])('keeps no secret of %j, and no box of a client', (spec) => {
    const sealed = create(SealedCredentialSchema, { runnerId: 'r', sealed: Uint8Array.of(1) });
    const asked = request(spec);
    const theirs = create(SealedCredentialSchema, { runnerId: 'x', sealed: Uint8Array.of(2) });
    if (asked.spec?.content) asked.spec.content.sealedCredentials = [theirs];
    const made = makeEnvironment(asked, { ...facts, sealedCredentials: [sealed] });
    expect(toJsonString(EnvironmentSchema, made)).toMatch(/"https:..example.test.a.b/);
    expect(toJsonString(EnvironmentSchema, made)).not.toContain('secret');
    expect(made.spec?.content?.sealedCredentials).toEqual([sealed]);
  });

  it.each<[Spec, string]>([
    [contextUrl('nonsense'), '"nonsense" is not a repository: give an https, ssh or file URL'],
    [
      { desiredPhase: EnvironmentPhase.DELETED },
      'spec.desired_phase of a new environment must be RUNNING or STOPPED',
    ],
    [
      { content: { initializer: { specs: [{}, {}] } } },
      'spec.content.initializer.specs: one repository per environment so far',
    ],
  ])('of %o is refused', (spec, message) => {
    const make = (): unknown => makeEnvironment(request(spec), facts);
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_argument', message }));
  });
});

describe('the default name', () => {
  it.each<[Spec, string]>([
    [{}, 'environment'],
    [contextUrl('https://example.test/team/Guest_Book.git'), 'guest-book'],
    [contextUrl('https://example.test/team/app/tree/main'), 'app'],
    [contextUrl('file:///home/me/My%20Project'), 'my-project'],
    [contextUrl('https://example.test/team/...'), 'environment'],
    [git('https://example.test/team/app.git/'), 'app'],
    [git('git@example.test:team/app.git'), 'app'],
    [git('https://me:secret@example.test'), 'example-test'],
    [git(`https://example.test/${'x'.repeat(100)}`), 'x'.repeat(60)],
  ])('of %o is %s', (spec, name) => {
    expect(defaultName(create(EnvironmentSpecSchema, spec))).toBe(name);
  });
});
