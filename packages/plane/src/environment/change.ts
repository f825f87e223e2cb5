/** Changes of an environment that users ask for. Pure: each alters the copy that it is given. */
import { AtelierError, phase } from '@atelier/api';
import type { SealedCredential } from '@atelier/api/atelier/sealed_credential';
import {
  EnvironmentPhase,
  EnvironmentSpec_AutomationsFileSchema,
  EnvironmentSpec_ContentSchema,
  EnvironmentSpec_DevContainerSchema,
  EnvironmentSpec_SSHPublicKeySchema,
  EnvironmentSpec_TimeoutSchema,
  type Environment,
  type EnvironmentSpec,
  type MarkEnvironmentActiveRequest,
  type UpdateEnvironmentRequest,
  type UpdateEnvironmentRequest_Spec,
} from '@atelier/api/gitpod/environment';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { takeCredential } from './initializer.ts';

/** The spec of an environment that is there; every stored environment has one. */
export function specOf(environment: Environment): EnvironmentSpec {
  if (!environment.spec) throw new AtelierError('data_loss', `environment ${environment.id} has no spec`);
  return environment.spec;
}

/** Sets what is desired; false when it is desired already. Deletion is never taken back. */
export function desire(
  environment: Environment,
  desired: EnvironmentPhase,
  session: string,
  nowMs: number,
): boolean {
  const spec = specOf(environment);
  if (spec.desiredPhase === EnvironmentPhase.DELETED) {
    if (desired === EnvironmentPhase.DELETED) return false;
    throw new AtelierError('failed_precondition', `environment ${environment.id} is being deleted`);
  }
  const failed = (environment.status?.failureMessage.length ?? 0) > 0;
  const starting = desired === EnvironmentPhase.RUNNING;
  if (spec.desiredPhase === desired && !(starting && failed)) return false;
  if (starting) {
    if (environment.metadata?.archivedAt) {
      throw new AtelierError(
        'failed_precondition',
        `environment ${environment.id} is archived; unarchive it first`,
      );
    }
    if (spec.machine) spec.machine.session = session;
    if (environment.metadata) environment.metadata.lastStartedAt = timestampFromMs(nowMs);
  }
  spec.desiredPhase = desired;
  touchSpec(environment, nowMs);
  return true;
}

/** Notes that somebody works; false when nothing was said. A time to come is taken for now. */
export function markActive(
  environment: Environment,
  { activitySignal }: Pick<MarkEnvironmentActiveRequest, 'activitySignal'>,
  nowMs: number,
): boolean {
  if (!environment.status || !activitySignal) return false;
  const saidMs = activitySignal.timestamp ? timestampMs(activitySignal.timestamp) : nowMs;
  const timestamp = timestampFromMs(Math.min(saidMs, nowMs));
  environment.status.activitySignal = { ...activitySignal, timestamp };
  touchSpec(environment, nowMs);
  return true;
}

/** Puts an environment aside that does not run; false when it is there already. */
export function archive(environment: Environment, nowMs: number): boolean {
  if (specOf(environment).desiredPhase === EnvironmentPhase.RUNNING) {
    throw new AtelierError('failed_precondition', `environment ${environment.id} runs; stop it first`);
  }
  if (!environment.metadata || environment.metadata.archivedAt) return false;
  environment.metadata.archivedAt = timestampFromMs(nowMs);
  return true;
}

/** Counts the spec's version on and computes the phase anew. */
export function touchSpec(environment: Environment, nowMs: number): void {
  const spec = specOf(environment);
  spec.specVersion += 1n;
  if (environment.status) setPhase(environment, nowMs);
}

/** Computes the phase and, when it is another one, since when. The one place that writes `status.phase`. */
export function setPhase(environment: Environment, nowMs: number): void {
  const { status } = environment;
  if (!status) return;
  const next = phase(environment.spec, status);
  if (next !== status.phase && status.detail) status.detail.phaseSince = timestampFromMs(nowMs);
  status.phase = next;
}

/**
 * Applies an update request; `name` is set by the caller, who guards its uniqueness. `sealedCredentials` is what
 * stood in the URL of a new initializer; a new initializer without a credential has none.
 */
export function applyUpdate(
  environment: Environment,
  request: UpdateEnvironmentRequest,
  nowMs: number,
  sealedCredentials: SealedCredential[] = [],
): void {
  const { metadata } = environment;
  if (metadata && request.metadata?.name !== undefined) metadata.name = request.metadata.name;
  if (metadata && request.metadata?.lockdownAt) metadata.lockdownAt = request.metadata.lockdownAt;
  if (!request.spec) return;
  applySpec(specOf(environment), request.spec, sealedCredentials);
  touchSpec(environment, nowMs);
}

function applySpec(
  spec: EnvironmentSpec,
  change: UpdateEnvironmentRequest_Spec,
  sealedCredentials: SealedCredential[],
): void {
  if (change.content) {
    const content = (spec.content ??= create(EnvironmentSpec_ContentSchema));
    if (change.content.session !== undefined) content.session = change.content.session;
    if (change.content.initializer) {
      content.initializer = takeCredential(change.content.initializer).initializer;
      content.sealedCredentials = sealedCredentials;
    }
    if (change.content.gitUsername !== undefined) content.gitUsername = change.content.gitUsername;
    if (change.content.gitEmail !== undefined) content.gitEmail = change.content.gitEmail;
  }
  if (change.devcontainer) {
    const devcontainer = (spec.devcontainer ??= create(EnvironmentSpec_DevContainerSchema));
    if (change.devcontainer.session !== undefined) devcontainer.session = change.devcontainer.session;
    if (change.devcontainer.devcontainerFilePath !== undefined) {
      devcontainer.devcontainerFilePath = change.devcontainer.devcontainerFilePath;
    }
  }
  if (change.automationsFile) {
    const file = (spec.automationsFile ??= create(EnvironmentSpec_AutomationsFileSchema));
    if (change.automationsFile.session !== undefined) file.session = change.automationsFile.session;
    if (change.automationsFile.automationsFilePath !== undefined) {
      file.automationsFilePath = change.automationsFile.automationsFilePath;
    }
  }
  if (change.timeout?.disconnected) {
    spec.timeout = create(EnvironmentSpec_TimeoutSchema, { disconnected: change.timeout.disconnected });
  }
  if (change.ports.length > 0) spec.ports = change.ports;
  if (change.kernelControlsConfig) spec.kernelControlsConfig = change.kernelControlsConfig;
  for (const key of change.sshPublicKeys) {
    spec.sshPublicKeys = spec.sshPublicKeys.filter((present) => present.id !== key.id);
    if (key.value) {
      spec.sshPublicKeys.push(create(EnvironmentSpec_SSHPublicKeySchema, { id: key.id, value: key.value }));
    }
  }
}
