/** The text of an automations file, what it becomes on the wire, and the plans of its tasks. */
import {
  parseAutomationsFile,
  planExecution,
  serviceStartOrder,
  taskDependencies,
} from '@atelier/automations';
import {
  AutomationsFileSchema,
  TaskSpecSchema,
  type AutomationsFile,
} from '@atelier/api/gitpod/environment_automation';
import { create, equals, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { corpusTexts } from '../corpus.ts';
import type { Grammar } from '../mutate.ts';
import type { Target } from '../target.ts';
import { textTarget } from '../text-target.ts';

const own = ['.gitpod/automations.yaml', 'examples/guestbook/.gitpod/automations.yaml'];
const whole = `services:
  db: &db
    name: Database
    description: "d"
    triggeredBy: [postEnvironmentStart, manual]
    commands: { start: sleep 1, ready: 'true', stop: "kill 1" }
    readinessTimeout: 1h30m
    role: default
    runsOn: { machine: {} }
  web:
    <<: *db
    dependsOn: [db]
tasks:
  build:
    name: Build
    command: |
      make
    dependsOn: [db]
    prebuildRequiresSuccess: false
    runsOn:
      docker:
        image: node
        environment: ["A=b"]
  test: {name: Test, command: t, dependsOn: [build, web], triggeredBy: [prebuild]}
`;
const tokens = [
  '- ',
  ': ',
  '? ',
  '{',
  '}',
  '[',
  ']',
  ',',
  '&a ',
  '*a',
  '<<: ',
  '!!str ',
  '!!set ',
  '!!binary ',
  '!<x> ',
  '|',
  '>',
  '%YAML 1.1\n',
  '\n',
  '\n  ',
  '\n    ',
  '	',
  '#',
  '---\n',
  '...\n',
  '"',
  "'",
  '\\x00',
  '\\ud800',
  '"\\udc00"',
  '"\\0"',
  '&b [*a,*a]',
  ', *b',
  '[*a,',
  'a: &a ',
  '[[',
  '{a: ',
  '? ? ',
  '- - ',
  'tasks:\n',
  'services:\n',
  'dependsOn: [',
  'name: x\n',
  'command: y\n',
  '__proto__: ',
  'null',
  '~',
  '.inf',
  '.nan',
  '-.inf',
  '0o17',
  '1e400',
  '2001-01-01',
  'readinessTimeout: ',
  '1h',
  '999999999h',
  'yes',
  'constructor: ',
] as [string, ...string[]];
const grammar: Grammar = { texts: corpusTexts('automations', own), tokens, lengthMax: 129 * 1024 };

/** The target. */
export const automations: Target = textTarget(grammar, whole, (text) => {
  const { file, warnings } = parseAutomationsFile(text, 'automations.yaml');
  requireSame(file);
  planAll(file);
  return [warnings, file];
});

function requireSame(file: AutomationsFile): void {
  const sent = fromBinary(AutomationsFileSchema, toBinary(AutomationsFileSchema, file));
  const stored = fromJson(AutomationsFileSchema, toJson(AutomationsFileSchema, file));
  for (const other of [sent, stored])
    if (!equals(AutomationsFileSchema, file, other)) throw new Error('the file changes on its way');
}

function planAll(file: AutomationsFile): void {
  const services = Object.entries(file.services).map(([id, { dependsOn }]) => ({ id, label: id, dependsOn }));
  const tasks = Object.entries(file.tasks).map(([id, { command }]) => {
    const { tasks: before, services: ready } = taskDependencies(file, id);
    const known = ready.filter((name) => Object.hasOwn(file.services, name));
    const spec = create(TaskSpecSchema, { command });
    return {
      id: `task ${id}`,
      label: id,
      spec,
      dependsOn: [...before.map((name) => `task ${name}`), ...known],
    };
  });
  // Each plan takes as long as the file is large: a few stand for all.
  for (const { id } of tasks.slice(0, 20)) planExecution(id, tasks, services);
  for (const { id } of services.slice(0, 20)) serviceStartOrder(id, services);
}
