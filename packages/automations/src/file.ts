/** From the text of an automations file (YAML or JSON) to the public message. */
import { AtelierError } from '@atelier/api';
import {
  AutomationsFileSchema,
  AutomationsFile_ServiceSchema,
  AutomationsFile_TaskSchema,
  type AutomationsFile,
  type AutomationsFile_Service,
  type AutomationsFile_Task,
  type RunsOn,
} from '@atelier/api/gitpod/environment_automation';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { checkDependencies } from './dependencies.ts';
import { parseDurationMs } from './duration.ts';
import { Reader, type Entry } from './reader.ts';

/** The places of an automations file, the one that counts first. */
const defaultPaths = ['.gitpod/automations.yaml', '.ona/automations.yaml'];

/**
 * The paths, from the repository's root, at which to look for the automations file; the first that exists
 * counts. A path that the project or the environment names is the only one; `invalid_argument` when it leaves
 * the repository.
 */
export function candidateAutomationsPaths(specified?: string): string[] {
  if (!specified) return [...defaultPaths];
  if (specified.split('/').includes('..')) {
    throw new AtelierError(
      'invalid_argument',
      `The automations file ${JSON.stringify(specified)} may be outside of the repository. Name a path in it, without "..".`,
    );
  }
  return [specified.replace(/^(?:\.?\/)+/, '')];
}

/** A checked file and what is in it but has no effect yet, one sentence each. */
export interface ParsedAutomationsFile {
  file: AutomationsFile;
  warnings: string[];
}

/** The triggers that a file may name. */
const triggers = ['manual', 'postEnvironmentStart', 'postDevcontainerStart', 'prebuild'];

/** The roles that a file may give a service. */
const roles = ['', 'default', 'editor', 'ai-agent'];

/** The longest readiness timeout, of the public API. */
const readinessTimeoutMsMax = 86_400_000;

/** The form of a reference; `__proto__` would be one, but no object of ours can safely have that name. */
const referencePattern = /^(?!__proto__$)[a-zA-Z0-9_-]{1,128}$/;

/** How many tasks and services a file may have together. */
const automationsMax = 500;

/**
 * Parses and checks an automations file. `path` is for messages. A file without content has no tasks and no
 * services. A task's `dependsOn` may name tasks and services (a name that is both means the task), a
 * service's names services. `invalid_argument` with `path:line:column` for text that is not YAML, an unknown
 * key, a value of the wrong kind, a dependency that does not exist or a cycle; the first that is found counts.
 */
export function parseAutomationsFile(text: string, path: string): ParsedAutomationsFile {
  const reader = new Reader(text, path);
  const root = reader.root();
  const warnings: string[] = [];
  if (root === undefined) return { file: create(AutomationsFileSchema), warnings };
  const top = root.record(['services', 'tasks']);
  const services = new Map<string, AutomationsFile_Service>();
  const tasks = new Map<string, AutomationsFile_Task>();
  for (const [reference, entry] of references(top.get('services')))
    services.set(reference, readService(entry, warnings));
  for (const [reference, entry] of references(top.get('tasks')))
    tasks.set(reference, readTask(entry, warnings));
  if (services.size + tasks.size > automationsMax) {
    throw root.error(`has ${services.size + tasks.size} tasks and services; ${automationsMax} are allowed.`);
  }
  checkDependencies(services, tasks, (at) => reader.entryAt(at));
  const file = create(AutomationsFileSchema, {
    services: Object.fromEntries(services),
    tasks: Object.fromEntries(tasks),
  });
  return { file, warnings };
}

/** The dependencies of a task of a checked file, told apart: tasks to run first, services to be ready. */
export function taskDependencies(
  file: AutomationsFile,
  reference: string,
): { tasks: string[]; services: string[] } {
  const names = new Set(file.tasks[reference]?.dependsOn);
  const isTask = (name: string): boolean => Object.hasOwn(file.tasks, name);
  return {
    tasks: [...names].filter(isTask),
    services: [...names].filter((name) => !isTask(name)),
  };
}

function references(entry: Entry | undefined): Map<string, Entry> {
  const named = entry?.map() ?? new Map<string, Entry>();
  for (const [reference, value] of named) {
    if (referencePattern.test(reference)) continue;
    throw value.keyError(
      `${JSON.stringify(reference)} cannot name a task or service: use 1 to 128 letters, digits, "-" and "_".`,
    );
  }
  return named;
}

function readService(entry: Entry, warnings: string[]): AutomationsFile_Service {
  const fields = entry.record([
    'name',
    'description',
    'triggeredBy',
    'commands',
    'dependsOn',
    'runsOn',
    'role',
    'readinessTimeout',
  ]);
  const name = entry.required(fields, 'name').text();
  const commandsEntry = entry.required(fields, 'commands');
  const commands = commandsEntry.record(['start', 'ready', 'stop']);
  const runsOn = readRunsOn(fields.get('runsOn'), warnings);
  const timeout = readTimeout(fields.get('readinessTimeout'));
  return create(AutomationsFile_ServiceSchema, {
    name,
    description: fields.get('description')?.anyText() ?? '',
    commands: {
      start: commandsEntry.required(commands, 'start').text(),
      ready: commands.get('ready')?.anyText() ?? '',
      stop: commands.get('stop')?.anyText() ?? '',
    },
    triggeredBy: readTriggers(fields.get('triggeredBy'), warnings),
    dependsOn: readList(fields.get('dependsOn')),
    role: fields.get('role')?.oneOf(roles) ?? '',
    ...(runsOn && { runsOn }),
    ...(timeout && { readinessTimeout: timeout }),
  });
}

function readTask(entry: Entry, warnings: string[]): AutomationsFile_Task {
  const fields = entry.record([
    'name',
    'description',
    'triggeredBy',
    'command',
    'dependsOn',
    'runsOn',
    'prebuildRequiresSuccess',
  ]);
  const runsOn = readRunsOn(fields.get('runsOn'), warnings);
  return create(AutomationsFile_TaskSchema, {
    name: entry.required(fields, 'name').text(),
    description: fields.get('description')?.anyText() ?? '',
    command: entry.required(fields, 'command').text(),
    triggeredBy: readTriggers(fields.get('triggeredBy'), warnings),
    dependsOn: readList(fields.get('dependsOn')),
    prebuildRequiresSuccess: fields.get('prebuildRequiresSuccess')?.flag() ?? false,
    ...(runsOn && { runsOn }),
  });
}

function readList(entry: Entry | undefined): string[] {
  return (entry?.list() ?? []).map((element) => element.text());
}

function readTriggers(entry: Entry | undefined, warnings: string[]): string[] {
  const named = (entry?.list() ?? []).map((element) => element.oneOf(triggers));
  if (entry && named.includes('prebuild')) {
    warnings.push(`${entry.name}: prebuild has no effect, because there are no prebuilds yet.`);
  }
  return named;
}

function readTimeout(entry: Entry | undefined): { seconds: bigint; nanos: number } | undefined {
  if (entry === undefined) return undefined;
  const durationMs = parseDurationMs(entry.value);
  if (durationMs === undefined) {
    throw entry.error(`must be a duration such as "30s", "5m" or a number of seconds, not ${entry.shown()}.`);
  }
  if (durationMs > readinessTimeoutMsMax) {
    throw entry.error(`must be at most "24h", not ${entry.shown()}.`);
  }
  return { seconds: BigInt(Math.floor(durationMs / 1000)), nanos: (durationMs % 1000) * 1_000_000 };
}

type RunsOnInit = Pick<RunsOn, 'target'> | MessageInitShape<typeof AutomationsFile_TaskSchema>['runsOn'];

function readRunsOn(entry: Entry | undefined, warnings: string[]): RunsOnInit {
  if (entry === undefined) return undefined;
  const fields = entry.record(['docker', 'machine']);
  const docker = fields.get('docker');
  const machine = fields.get('machine');
  if ((docker === undefined) === (machine === undefined)) {
    throw entry.error('must hold either docker or machine.');
  }
  machine?.record([]);
  if (docker === undefined) return { target: { case: 'machine', value: {} } };
  const options = docker.record(['image', 'environment']);
  const image = docker.required(options, 'image').text();
  warnings.push(`${docker.name} is not supported yet: the commands run in the environment itself.`);
  return { target: { case: 'docker', value: { image, environment: readList(options.get('environment')) } } };
}
