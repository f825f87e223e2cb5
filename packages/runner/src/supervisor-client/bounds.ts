/**
 * What is believed of a supervisor: it speaks for root inside an environment, so every list has a length,
 * every text too, and what breaks the form ends the connection.
 */
import { AtelierError, whyUnwritable } from '@atelier/api';
import {
  SupervisorStatusSchema,
  type HelloResponse,
  type SupervisorStatus,
} from '@atelier/api/atelier/supervisor';

/** The most that a status may hold; far above what an honest supervisor sends. */
export const statusBounds = {
  lifecycle: 16,
  services: 200,
  executions: 500,
  stepsPerExecution: 500,
  ports: 1000,
  activity: 1500,
  warnings: 100,
  changedFiles: 101,
  outputEntries: 100,
} as const;

/** Longer texts are cut, with a mark. */
export const textLengthMax = 4096;

const bootPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** The answer to hello when it keeps the form; `invalid_argument` otherwise. */
export function boundedHello(hello: HelloResponse): HelloResponse {
  if (!bootPattern.test(hello.boot)) throw broken('it names its boot in a form that is not ours');
  return { ...hello, softwareVersion: cutText(hello.softwareVersion, 64) };
}

/**
 * The status with texts cut. `invalid_argument`, with what it is, when a list is longer than it may be:
 * cutting it would make a wrong status look right.
 */
export function boundedStatus(status: SupervisorStatus): SupervisorStatus {
  const { automationsFile, git, activity } = status;
  requireAtMost('life-cycle commands', status.lifecycle, statusBounds.lifecycle);
  requireAtMost('services', status.services, statusBounds.services);
  requireAtMost('task executions', status.executions, statusBounds.executions);
  requireAtMost('ports', status.ports, statusBounds.ports);
  requireAtMost('entries of activity', activity?.entries ?? [], statusBounds.activity);
  requireAtMost('warnings', automationsFile?.warnings ?? [], statusBounds.warnings);
  requireAtMost('changed files', git?.changedFiles ?? [], statusBounds.changedFiles);
  requireAtMost('unpushed commits', git?.unpushedCommits ?? [], statusBounds.changedFiles);
  for (const { status: execution } of status.executions) {
    requireAtMost('steps of an execution', execution?.steps ?? [], statusBounds.stepsPerExecution);
    for (const step of execution?.steps ?? []) requireFewOutputs(step.output);
  }
  for (const { status: service } of status.services) requireFewOutputs(service?.output ?? {});
  for (const { port } of status.ports) {
    if (!(port >= 1 && port <= 65_535)) throw broken(`it reports the port ${port}`);
  }
  const unwritable = whyUnwritable(SupervisorStatusSchema, status);
  if (unwritable !== undefined) throw broken(`its status cannot be written down (${unwritable})`);
  return cutTexts(status);
}

/** A text of at most `lengthMax` UTF-16 units. */
export function cutText(text: string, lengthMax = textLengthMax): string {
  // A cut may split a pair of surrogates, which the wire does not take.
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1).toWellFormed()}…`;
}

/** The error by which a supervisor is disconnected. */
export function broken(what: string): AtelierError {
  return new AtelierError(
    'invalid_argument',
    `The supervisor was disconnected because ${what}. Something inside the environment has replaced or changed it; restart the environment.`,
  );
}

function requireAtMost(what: string, list: readonly unknown[], countMax: number): void {
  if (list.length > countMax)
    throw broken(`it reports ${list.length} ${what}, where ${countMax} are allowed`);
}

function requireFewOutputs(output: Readonly<Record<string, string>>): void {
  requireAtMost('outputs', Object.keys(output), statusBounds.outputEntries);
}

// Messages are plain objects; bytes do not occur in a status.
function cutTexts<T>(value: T): T {
  if (typeof value === 'string') return cutText(value) as T;
  if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) value[index] = cutTexts(element as unknown);
  } else if (typeof value === 'object' && value !== null) {
    const fields = value as Record<string, unknown>;
    for (const [key, element] of Object.entries(fields)) {
      if (key !== '$typeName') fields[key] = cutTexts(element);
    }
  }
  return value;
}
