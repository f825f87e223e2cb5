/** A new environment from what was asked for: every default is filled in here. Pure. */
import { AtelierError, phase } from '@atelier/api';
import { EnvironmentDetailSchema } from '@atelier/api/atelier/environment_detail';
import type { SealedCredential } from '@atelier/api/atelier/sealed_credential';
import {
  EnvironmentMetadataSchema,
  EnvironmentPhase,
  EnvironmentRole,
  EnvironmentSchema,
  EnvironmentSpecSchema,
  EnvironmentSpec_AutomationsFileSchema,
  EnvironmentSpec_ContentSchema,
  EnvironmentSpec_DevContainerSchema,
  EnvironmentSpec_MachineSchema,
  EnvironmentSpec_TimeoutSchema,
  EnvironmentStatusSchema,
  type CreateEnvironmentRequest,
  type Environment,
  type EnvironmentSpec,
} from '@atelier/api/gitpod/environment';
import { Principal as PrincipalType, SubjectSchema } from '@atelier/api/gitpod/subject';
import { clone, create } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { parseContextUrl, withoutSecrets } from '../context-url.ts';
import type { Principal } from '../identity/principal.ts';
import { takeCredential, withoutCredential } from './initializer.ts';

/** An environment stops after this time without work, unless it says otherwise. */
const inactivityTimeoutMs = 30 * 60 * 1000;

/** What the maker needs beside the request. */
export interface MakeFacts {
  readonly id: string;
  readonly name: string;
  readonly owner: Principal;
  readonly nowMs: number;
  /** Fills sessions that were left empty. */
  readonly session: string;
  /** What stood in the URL of the repository, sealed; the URL itself is stored without it. */
  readonly sealedCredentials: SealedCredential[];
}

/** Makes the environment; `invalid_argument` for a spec that nothing can be made of. */
export function makeEnvironment(request: CreateEnvironmentRequest, facts: MakeFacts): Environment {
  const spec = completeSpec(request.spec, facts);
  const now = timestampFromMs(facts.nowMs);
  const metadata = create(EnvironmentMetadataSchema, {
    organizationId: facts.owner.organizationId,
    annotations: request.annotations,
    name: facts.name,
    creator: create(SubjectSchema, { id: facts.owner.id, principal: PrincipalType.USER }),
    originalContextUrl: withoutSecrets(withoutCredential((request.spec && contextUrlOf(request.spec)) ?? '')),
    createdAt: now,
    lastStartedAt: now,
    role: EnvironmentRole.DEFAULT,
    sessionId: request.sessionId,
  });
  const status = create(EnvironmentStatusSchema, {
    statusVersion: 1n,
    detail: create(EnvironmentDetailSchema, { phaseSince: now, reason: 'waiting for a runner' }),
  });
  status.phase = phase(spec, status);
  return create(EnvironmentSchema, { id: facts.id, metadata, spec, status });
}

function completeSpec(asked: EnvironmentSpec | undefined, facts: MakeFacts): EnvironmentSpec {
  const spec = asked ? clone(EnvironmentSpecSchema, asked) : create(EnvironmentSpecSchema);
  const { desiredPhase } = spec;
  if (desiredPhase === EnvironmentPhase.UNSPECIFIED) spec.desiredPhase = EnvironmentPhase.RUNNING;
  else if (desiredPhase !== EnvironmentPhase.RUNNING && desiredPhase !== EnvironmentPhase.STOPPED) {
    throw new AtelierError(
      'invalid_argument',
      'spec.desired_phase of a new environment must be RUNNING or STOPPED',
    );
  }
  spec.specVersion = 1n;
  spec.machine ??= create(EnvironmentSpec_MachineSchema);
  spec.content ??= create(EnvironmentSpec_ContentSchema);
  spec.devcontainer ??= create(EnvironmentSpec_DevContainerSchema);
  spec.automationsFile ??= create(EnvironmentSpec_AutomationsFileSchema);
  for (const part of [spec.machine, spec.content, spec.devcontainer, spec.automationsFile])
    part.session ||= facts.session;
  spec.timeout ??= create(EnvironmentSpec_TimeoutSchema, {
    disconnected: durationFromMs(inactivityTimeoutMs),
  });
  const { content } = spec;
  if (content.initializer) content.initializer = takeCredential(content.initializer).initializer;
  content.sealedCredentials = facts.sealedCredentials;
  const { dotfiles } = spec.devcontainer;
  if (dotfiles) dotfiles.repository = withoutCredential(dotfiles.repository);
  return spec;
}

function contextUrlOf(spec: EnvironmentSpec): string | undefined {
  const initializer = spec.content?.initializer?.specs[0]?.spec;
  if (initializer?.case === 'contextUrl') return initializer.value.url;
  if (initializer?.case === 'git') return initializer.value.remoteUri;
  return undefined;
}

/** The name that an environment gets when none was given: its repository's, made fit for a host name. */
export function defaultName(spec: EnvironmentSpec | undefined): string {
  const initializer = spec?.content?.initializer?.specs[0]?.spec;
  let repository = '';
  if (initializer?.case === 'contextUrl') repository = parseContextUrl(initializer.value.url).repository;
  if (initializer?.case === 'git') {
    repository =
      withoutSecrets(initializer.value.remoteUri)
        .replace(/\/+$/, '')
        .split(/[/:]/)
        .at(-1)
        ?.replace(/\.git$/, '') ?? '';
  }
  const name = repository
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
  return name === '' ? 'environment' : name;
}
