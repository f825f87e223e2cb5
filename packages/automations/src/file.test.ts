import { AtelierError } from '@atelier/api';
import { AutomationsFileSchema } from '@atelier/api/gitpod/environment_automation';
import { toJson } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { candidateAutomationsPaths, parseAutomationsFile, taskDependencies } from './file.ts';

const everything = `
# every construct
services:
  database:
    name: Database
    description: ""
    triggeredBy: [postEnvironmentStart, manual]
    commands:
      start: |
        exec postgres
      ready: pg_isready
      stop: pg_ctl stop
    runsOn: { machine: {} }
    role: default
    readinessTimeout: 1m30s
  web:
    name: Web
    commands: { start: serve }
    dependsOn: [database]
tasks:
  build:
    name: Build
    command: make
    triggeredBy: [postDevcontainerStart]
  test:
    name: Test
    command: make test
    dependsOn: [build, web]
    prebuildRequiresSuccess: true
`;

const parsedEverything = {
  services: {
    database: {
      name: 'Database',
      commands: { start: 'exec postgres\n', ready: 'pg_isready', stop: 'pg_ctl stop' },
      triggeredBy: ['postEnvironmentStart', 'manual'],
      runsOn: { machine: {} },
      role: 'default',
      readinessTimeout: '90s',
    },
    web: { name: 'Web', commands: { start: 'serve' }, dependsOn: ['database'] },
  },
  tasks: {
    build: { name: 'Build', command: 'make', triggeredBy: ['postDevcontainerStart'] },
    test: { name: 'Test', command: 'make test', dependsOn: ['build', 'web'], prebuildRequiresSuccess: true },
  },
};

function parsed(text: string): unknown {
  return toJson(AutomationsFileSchema, parseAutomationsFile(text, 'a.yaml').file);
}

test('every construct', () => {
  expect(parsed(everything)).toEqual(parsedEverything);
  expect(parseAutomationsFile(everything, 'a.yaml').warnings).toEqual([]);
  expect(parsed(everything.replaceAll('\n', '\r\n'))).toEqual(parsedEverything);
  expect(parsed(`\uFEFF${everything}`)).toEqual(parsedEverything);
});

test('the same as JSON, with tabs', () => {
  const json = { services: { web: { name: 'Web', commands: { start: 'serve' } } } };
  expect(parsed(JSON.stringify(json, null, '\t'))).toEqual(json);
});

test.each(['', '# nothing\n', 'services:\ntasks:\n', 'tasks: {}\n'])('nothing: %j', (text) => {
  expect(parsed(text)).toEqual({});
});

test('anchors and merge keys', () => {
  const text = 'tasks:\n  a: &a { name: A, command: x }\n  b: { <<: *a, name: B }\n';
  expect(parsed(text)).toEqual({ tasks: { a: { name: 'A', command: 'x' }, b: { name: 'B', command: 'x' } } });
});

test('dependencies of a task, told apart; a name that is both means the task', () => {
  const text = `${everything}  web: { name: W, command: x }\n  solo: { name: S, command: x }\n`;
  const { file } = parseAutomationsFile(text, 'a.yaml');
  expect(taskDependencies(file, 'test')).toEqual({ tasks: ['build', 'web'], services: [] });
  expect(taskDependencies(file, 'solo')).toEqual({ tasks: [], services: [] });
  const { file: plain } = parseAutomationsFile(everything, 'a.yaml');
  expect(taskDependencies(plain, 'test')).toEqual({ tasks: ['build'], services: ['web'] });
});

test('what has no effect yet is named', () => {
  const text =
    'tasks:\n  a: { name: A, command: x, triggeredBy: [prebuild], runsOn: { docker: { image: i, environment: [B=C] } } }\n';
  expect(parseAutomationsFile(text, 'a.yaml').warnings).toEqual([
    'tasks.a.runsOn.docker is not supported yet: the commands run in the environment itself.',
    'tasks.a.triggeredBy: prebuild has no effect, because there are no prebuilds yet.',
  ]);
  expect(parsed(text)).toMatchObject({
    tasks: { a: { runsOn: { docker: { image: 'i', environment: ['B=C'] } } } },
  });
});

test.each([
  ['30s', '30s'],
  ['500ms', '0.500s'],
  ['1h0.5m', '3630s'],
  ['24h', '86400s'],
  ['90', '90s'],
  ['0', '0s'],
])('readinessTimeout %s', (written, expected) => {
  const text = `services: { a: { name: A, commands: { start: x }, readinessTimeout: ${written} } }`;
  expect(parsed(text)).toMatchObject({ services: { a: { readinessTimeout: expected } } });
});

test('paths', () => {
  expect(candidateAutomationsPaths()).toEqual(['.gitpod/automations.yaml', '.ona/automations.yaml']);
  expect(candidateAutomationsPaths('./ci/auto.yaml')).toEqual(['ci/auto.yaml']);
  expect(() => candidateAutomationsPaths('a/../../auto.yaml')).toThrow(
    'The automations file "a/../../auto.yaml" may be outside of the repository. Name a path in it, without "..".',
  );
});

const service = (fields: string): string => `services: { a: { name: A, commands: { start: x }, ${fields} } }`;
const task = (fields: string): string => `tasks: { a: { name: A, command: x, ${fields} } }`;
const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n`;
const many = Array.from({ length: 501 }, (_unused, index) => `  t${index}: { name: A, command: x }`).join(
  '\n',
);

const malformed: Record<string, [string, string]> = {
  'not YAML: bracket': [
    'tasks: [\n',
    'a.yaml:2:1: this is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ].',
  ],
  'not YAML: indentation': [
    'tasks:\n  a:\n    name: A\n   command: x\n',
    'a.yaml:4:1: this is not YAML: All mapping items must start at the same column.',
  ],
  'not YAML: tab': ['tasks:\n\ta: 1\n', 'a.yaml:2:1: this is not YAML: Tabs are not allowed as indentation.'],
  'a key twice': [
    'tasks:\n  a: { name: A, command: x }\n  a: { name: A, command: x }\n',
    'a.yaml:3:3: the key "a" is given twice. Keep one.',
  ],
  'two documents': ['tasks: {}\n---\ntasks: {}\n', 'a.yaml:2:1: a second document begins here. Keep one.'],
  'an anchor that does not exist': [
    'tasks: *nowhere\n',
    'a.yaml uses anchors (&, *) in a way that is not allowed: Unresolved alias (the anchor must be set before the alias): nowhere.',
  ],
  'an alias bomb': [
    bomb,
    'a.yaml uses anchors (&, *) in a way that is not allowed: Excessive alias count indicates a resource exhaustion attack.',
  ],
  'too long': ['#'.repeat(300_000), 'a.yaml is too long: 300000 characters, where 131072 are allowed.'],
  'too many tasks': [`tasks:\n${many}`, 'a.yaml:1:1: the file has 501 tasks and services; 500 are allowed.'],
  'a NUL': [
    'tasks:\n  a: { name: A, command: "a\\0b" }\n',
    'a.yaml:2:26: this text has the character NUL in it, which no program takes. Remove it.',
  ],
  'half a character': [
    'tasks:\n  a: { name: "\\ud800", command: b }\n',
    'a.yaml:2:14: this text has half of a surrogate pair in it, which no program takes. Remove it.',
  ],
  'a list at the top': ['- a\n', 'a.yaml:1:1: the file must be a map of names to values, not a list.'],
  'text at the top': [
    'automations',
    'a.yaml:1:1: the file must be a map of names to values, not the string "automations".',
  ],
  'unknown key at the top': [
    'version: 1\ntasks: {}\n',
    'a.yaml:1:1: unknown key "version" at the top. Known here: services, tasks.',
  ],
  'a list of services': [
    'services:\n  - name: a\n',
    'a.yaml:2:3: services must be a map of names to values, not a list.',
  ],
  'a reference with a space': [
    'tasks:\n  "a b": { name: A, command: x }\n',
    'a.yaml:2:3: "a b" cannot name a task or service: use 1 to 128 letters, digits, "-" and "_".',
  ],
  'a reference that is no name': [
    'tasks:\n  __proto__: { name: A, command: x }\n',
    'a.yaml:2:3: "__proto__" cannot name a task or service: use 1 to 128 letters, digits, "-" and "_".',
  ],
  'a service without name': [
    'services:\n  a:\n    commands: { start: x }\n',
    'a.yaml:2:3: services.a has no name. Add it.',
  ],
  'a service without commands': [
    'services:\n  a:\n    name: A\n',
    'a.yaml:2:3: services.a has no commands. Add it.',
  ],
  'a service without start': [
    'services:\n  a:\n    name: A\n    commands: { ready: x }\n',
    'a.yaml:4:5: services.a.commands has no start. Add it.',
  ],
  'a service with command': [
    service('command: y'),
    'a.yaml:1:51: unknown key "command" in services.a. Known here: name, description, triggeredBy, commands, dependsOn, runsOn, role, readinessTimeout.',
  ],
  'unknown key of commands': [
    'services:\n  a:\n    name: A\n    commands:\n      start: x\n      restart: y\n',
    'a.yaml:6:7: unknown key "restart" in services.a.commands. Known here: start, ready, stop.',
  ],
  'a task without command': ['tasks:\n  a:\n    name: A\n', 'a.yaml:2:3: tasks.a has no command. Add it.'],
  'a task without anything': ['tasks:\n  a:\n', 'a.yaml:2:3: tasks.a has no name. Add it.'],
  'an empty command': [
    'tasks: { a: { name: A, command: "" } }',
    'a.yaml:1:33: tasks.a.command must not be empty.',
  ],
  'a command that is a list': [
    'tasks: { a: { name: A, command: [make] } }',
    'a.yaml:1:33: tasks.a.command must be text, not a list.',
  ],
  'a name that is a number': [
    'tasks: { a: { name: 12, command: x } }',
    'a.yaml:1:21: tasks.a.name must be text, not the number 12. Put it in quotes.',
  ],
  'a name that is true': [
    'tasks: { a: { name: true, command: x } }',
    'a.yaml:1:21: tasks.a.name must be text, not the boolean true. Put it in quotes.',
  ],
  'an unknown trigger': [
    task('triggeredBy: [manual, onStart]'),
    'a.yaml:1:58: tasks.a.triggeredBy[1] must be one of manual, postEnvironmentStart, postDevcontainerStart, prebuild, not the string "onStart".',
  ],
  'a trigger that is no list': [
    task('triggeredBy: manual'),
    'a.yaml:1:49: tasks.a.triggeredBy must be a list, not the string "manual".',
  ],
  'a trigger that is a map': [
    task('triggeredBy: [{ every: day }]'),
    'a.yaml:1:50: tasks.a.triggeredBy[0] must be text, not a map.',
  ],
  'an unknown role': [
    service('role: boss'),
    'a.yaml:1:57: services.a.role must be one of default, editor, ai-agent, not the string "boss".',
  ],
  'role of a task': [
    task('role: editor'),
    'a.yaml:1:36: unknown key "role" in tasks.a. Known here: name, description, triggeredBy, command, dependsOn, runsOn, prebuildRequiresSuccess.',
  ],
  'readinessTimeout: negative': [
    service('readinessTimeout: -1'),
    'a.yaml:1:69: services.a.readinessTimeout must be a duration such as "30s", "5m" or a number of seconds, not the number -1.',
  ],
  'readinessTimeout: no unit': [
    service('readinessTimeout: "30"'),
    'a.yaml:1:69: services.a.readinessTimeout must be a duration such as "30s", "5m" or a number of seconds, not the string "30".',
  ],
  'readinessTimeout: too long': [
    service('readinessTimeout: 25h'),
    'a.yaml:1:69: services.a.readinessTimeout must be at most "24h", not the string "25h".',
  ],
  'prebuildRequiresSuccess: text': [
    task('prebuildRequiresSuccess: "yes"'),
    'a.yaml:1:61: tasks.a.prebuildRequiresSuccess must be true or false, not the string "yes".',
  ],
  'runsOn: nothing': [task('runsOn: {}'), 'a.yaml:1:44: tasks.a.runsOn must hold either docker or machine.'],
  'runsOn: both': [
    task('runsOn: { docker: { image: i }, machine: {} }'),
    'a.yaml:1:44: tasks.a.runsOn must hold either docker or machine.',
  ],
  'runsOn: docker without image': [
    task('runsOn: { docker: {} }'),
    'a.yaml:1:46: tasks.a.runsOn.docker has no image. Add it.',
  ],
  'runsOn: machine with options': [
    task('runsOn: { machine: { cpus: 2 } }'),
    'a.yaml:1:57: unknown key "cpus" in tasks.a.runsOn.machine. Nothing may stand here.',
  ],
  'a dependency that does not exist': [
    task('dependsOn: [b]'),
    'a.yaml:1:48: tasks.a.dependsOn[0] names "b", but the file has no such task or service. Correct or remove it.',
  ],
  'a service that depends on a task': [
    'services:\n  a:\n    name: A\n    commands: { start: x }\n    dependsOn: [t]\ntasks:\n  t: { name: T, command: x }\n',
    'a.yaml:5:17: services.a.dependsOn[0] names "t", which is a task; a service can depend on services only.',
  ],
  'a service that depends on nothing known': [
    service('dependsOn: [nobody]'),
    'a.yaml:1:63: services.a.dependsOn[0] names "nobody", but the file has no such service. Correct or remove it.',
  ],
  'depends on itself': [
    task('dependsOn: [a]'),
    'a.yaml:1:48: tasks.a.dependsOn[0] closes a cycle: a -> a. Remove one of these dependencies.',
  ],
  'a cycle': [
    'tasks:\n  a: { name: A, command: x, dependsOn: [b] }\n  b: { name: B, command: x, dependsOn: [c] }\n  c: { name: C, command: x, dependsOn: [a] }\n',
    'a.yaml:4:41: tasks.c.dependsOn[0] closes a cycle: a -> b -> c -> a. Remove one of these dependencies.',
  ],
  'a wrong value behind an anchor': [
    'tasks:\n  a: &a\n    name: A\n    command: x\n  b:\n    <<: *a\n    dependsOn: c\n',
    'a.yaml:7:16: tasks.b.dependsOn must be a list, not the string "c".',
  ],
};

test.each(Object.entries(malformed))('malformed: %s', (_name, [text, message]) => {
  let thrown: unknown;
  try {
    parseAutomationsFile(text, 'a.yaml');
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(AtelierError);
  expect(thrown).toMatchObject({ code: 'invalid_argument', message });
});

test('long chains and deep brackets end in an answer', () => {
  const chain = Array.from({ length: 500 }, (_unused, index) => {
    const dependsOn = index === 0 ? '' : `, dependsOn: [t${index - 1}]`;
    return `  t${index}: { name: A, command: x${dependsOn} }`;
  });
  expect(Object.keys(parseAutomationsFile(`tasks:\n${chain.join('\n')}`, 'a.yaml').file.tasks)).toHaveLength(
    500,
  );
  expect(() => parseAutomationsFile('['.repeat(100_000), 'a.yaml')).toThrow(AtelierError);
  expect(() => parseAutomationsFile('- '.repeat(100_000), 'a.yaml')).toThrow(AtelierError);
});
