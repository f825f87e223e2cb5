import { AtelierError } from '@atelier/api';
import { expect, test } from 'vitest';
import { parseConfiguration } from './parse.ts';

const path = '.devcontainer/devcontainer.json';

const everything = `// what it is for
{
  /* every construct */
  "$schema": "devContainer.schema.json",
  "name": "Example",
  "build": {
    "dockerfile": "Dockerfile",
    "context": "..",
    "target": "dev",
    "args": { "VARIANT": "1" },
  },
  "containerUser": "root",
  "remoteUser": "dev",
  "containerEnv": { "A": "1" },
  "remoteEnv": { "B": "2", "C": null },
  "workspaceFolder": "/workspaces/x",
  "workspaceMount": "source=\${localWorkspaceFolder},target=/workspaces/x,type=bind",
  "forwardPorts": [3000, "8080", "db:5432"],
  "initializeCommand": "true",
  "onCreateCommand": ["make", "deps"],
  "updateContentCommand": { "a": "make a", "b": ["make", "b"] },
  "postCreateCommand": "x",
  "postStartCommand": "y",
  "postAttachCommand": "z",
  "waitFor": "postCreateCommand",
}
`;

test('every construct, with comments and trailing commas', () => {
  const { configuration, warnings } = parseConfiguration(everything, path);
  expect(warnings).toEqual([]);
  expect(configuration).toEqual({
    name: 'Example',
    build: {
      dockerfile: 'Dockerfile',
      context: '..',
      target: 'dev',
      args: { VARIANT: '1' },
    },
    containerUser: 'root',
    remoteUser: 'dev',
    containerEnv: { A: '1' },
    remoteEnv: { B: '2', C: null },
    workspaceFolder: '/workspaces/x',
    workspaceMount: 'source=${localWorkspaceFolder},target=/workspaces/x,type=bind',
    forwardPorts: [3000, '8080', 'db:5432'],
    initializeCommand: 'true',
    onCreateCommand: ['make', 'deps'],
    updateContentCommand: { a: 'make a', b: ['make', 'b'] },
    postCreateCommand: 'x',
    postStartCommand: 'y',
    postAttachCommand: 'z',
    waitFor: 'postCreateCommand',
  });
});

test('line ends and a byte order mark change nothing, not even places', () => {
  const plain = parseConfiguration(everything, path);
  expect(parseConfiguration(`\uFEFF${everything.replaceAll('\n', '\r\n')}`, path)).toEqual(plain);
  for (const text of ['{\n "image": 1\n}', '{\r\n "image": 1\r\n}', '\uFEFF{\n "image": 1\n}']) {
    expect(() => parseConfiguration(text, path)).toThrow(`${path}:2:11: image must be`);
  }
  expect(() => parseConfiguration('\uFEFF{ "image": 1 }', path)).toThrow(`${path}:1:12: image must be`);
});

test('an empty object is the default image', () => {
  expect(parseConfiguration('{}', path)).toEqual({ configuration: {}, warnings: [] });
});

test('a property named __proto__ is a property', () => {
  const { configuration } = parseConfiguration('{ "containerEnv": { "__proto__": "x" } }', path);
  expect(Object.entries(configuration.containerEnv ?? {})).toEqual([['__proto__', 'x']]);
  expect(parseConfiguration('{ "__proto__": {}, "toString": 1 }', path).warnings).toHaveLength(2);
});

const warned: Record<string, [string, string[]]> = {
  features: [
    '{ "image": "x", "features": { "ghcr.io/a/b:1": {} } }',
    ['features are not supported yet and are not installed.'],
  ],
  'an unknown property': [
    '{ "image": "x", "colour": "red" }',
    ['colour is not a known property and has no effect.'],
  ],
  'bytes that are not UTF-8': [
    '{ "image": "x" } // caf\uFFFD',
    ['the file is not UTF-8 throughout: what cannot be read stands as \uFFFD.'],
  ],
  'a misspelt property': [
    '{ "image": "x", "postCreateComand": "y" }',
    ['postCreateComand is not a known property and has no effect; did you mean postCreateCommand?'],
  ],
  'a property in the wrong case': [
    '{ "image": "x", "build": { "dockerFile": "D" } }',
    [
      'build.dockerFile is not a known property and has no effect; did you mean dockerfile?',
      'build has no effect, because it names no dockerfile.',
    ],
  ],
  'a misspelt property of build': [
    '{ "build": { "dockerfile": "D", "arg": {} } }',
    ['build.arg is not a known property and has no effect; did you mean args?'],
  ],
  'properties of build without an effect': [
    '{ "build": { "dockerfile": "D", "cacheFrom": ["localhost/cache"], "options": ["--network=host"] } }',
    [
      'build.cacheFrom has no effect: no image is taken as a cache of a build.',
      'build.options have no effect: no container engine is called with them.',
    ],
  ],
  'properties of build that ask for nothing': [
    '{ "build": { "dockerfile": "D", "cacheFrom": [], "options": [] } }',
    [],
  ],
  'a property given twice': [
    '{ "image": "x", "image": "y" }',
    ['image is given more than once; the last one counts.'],
  ],
  'image and build': [
    '{ "image": "x", "build": { "dockerfile": "D" } }',
    ['image has no effect, because the image is built from D.'],
  ],
  'a mount without a folder': [
    '{ "image": "x", "workspaceMount": "type=bind" }',
    ['workspaceMount is given without workspaceFolder; commands start in the default folder.'],
  ],
  overrideCommand: [
    '{ "image": "x", "overrideCommand": false }',
    [
      'overrideCommand has no effect: the first process is always the supervisor, never the command of the image.',
    ],
  ],
  'options that ask for nothing': [
    '{ "image": "x", "features": {}, "runArgs": [], "privileged": false, "init": true, "overrideCommand": true, "updateRemoteUserUID": true, "userEnvProbe": "loginInteractiveShell", "customizations": {} }',
    [],
  ],
  'engine options': [
    '{ "image": "x", "runArgs": ["--init"], "mounts": ["type=volume"], "privileged": true, "init": false, "capAdd": ["A"], "securityOpt": ["b"] }',
    [
      'runArgs are not supported: no container engine is called with them.',
      'mounts are not supported yet and are not made.',
      'privileged is not supported yet and has no effect.',
      'init has no effect: an environment always has an init process that reaps.',
      'capAdd is not supported yet and has no effect.',
      'securityOpt is not supported yet and has no effect.',
    ],
  ],
  'editor options': [
    '{ "image": "x", "customizations": { "vscode": {} }, "extensions": ["a"], "settings": { "a": 1 }, "devPort": 1 }',
    [
      'customizations is for editors; Atelier does not pass it on to them yet.',
      'extensions is for editors; Atelier does not pass it on to them yet.',
      'settings is for editors; Atelier does not pass it on to them yet.',
      'devPort is for editors; Atelier does not pass it on to them yet.',
    ],
  ],
  'ports and requirements': [
    '{ "image": "x", "portsAttributes": { "1": {} }, "otherPortsAttributes": { "a": 1 }, "appPort": [1, "2:3"], "hostRequirements": { "cpus": 2, "gpu": "optional", "ram": 1 }, "secrets": { "S": {} } }',
    [
      'portsAttributes is not supported yet and has no effect.',
      'otherPortsAttributes is not supported yet and has no effect.',
      'appPort is not supported: no port of the machine is opened. Use forwardPorts.',
      'hostRequirements.ram is not a known property and has no effect.',
      'hostRequirements are not supported yet: the environment class decides.',
      'secrets are not supported yet and are not asked for.',
    ],
  ],
  'the rest': [
    '{ "image": "x", "shutdownAction": "none", "updateRemoteUserUID": false, "userEnvProbe": "none", "overrideFeatureInstallOrder": ["a"], "runServices": ["a"], "codespaces": { "a": 1 } }',
    [
      'shutdownAction has no effect: an environment stops when it is asked to or has been idle for long enough.',
      'updateRemoteUserUID has no effect: the files of the repository belong to the remote user in any case.',
      'userEnvProbe is not supported yet and has no effect.',
      'overrideFeatureInstallOrder is not supported yet and has no effect.',
      'runServices is not supported yet and has no effect.',
      'codespaces is for another product and has no effect.',
    ],
  ],
};

test.each(Object.entries(warned))('warns: %s', (_name, [text, warnings]) => {
  expect(parseConfiguration(text, path).warnings).toEqual(warnings);
});

test('warns of many unknown properties, some of them long, without comparing all of them', () => {
  const names = Array.from({ length: 30_000 }, (_unused, index) => `"p${index}":0`);
  const text = `{"${'x'.repeat(100_000)}":0,${names.join(',')}}`;
  const { warnings } = parseConfiguration(text, path);
  expect(warnings.length).toBe(101);
  expect(warnings.at(-1)).toBe('There are more warnings than are shown here.');
});

test('what has no effect is not part of the configuration', () => {
  const text = '{ "image": "x", "privileged": true, "features": { "f": {} }, "unheardOf": 1 }';
  expect(parseConfiguration(text, path).configuration).toEqual({ image: 'x' });
});

const malformed: Record<string, [string, string]> = {
  nothing: ['', `${path} is empty. Write at least {} into it.`],
  'a comment only': ['// nothing\n', `${path} is empty. Write at least {} into it.`],
  'UTF-16': ['\uFFFD\uFFFD{\0}\0', `${path} is not UTF-8 text. Save it in that encoding.`],
  'a list': ['[]', `${path}:1:1: the file must hold one object in { }, not a list.`],
  'a text': ['"image"', `${path}:1:1: the file must hold one object in { }, not a string.`],
  'not JSON at all': [
    'image: debian\n',
    `${path}:1:1: this is not JSON: texts stand in double quotes, other values are numbers, true, false, null (at "image").`,
  ],
  'merge conflict': [
    '{\n<<<<<<< HEAD\n  "name": "a"\n}',
    `${path}:2:1: this is not JSON: texts stand in double quotes, other values are numbers, true, false, null (at "<<<<<<<").`,
  ],
  'a missing comma': [
    '{\n  "name": "a"\n  "image": "b"\n}',
    `${path}:3:3: a "," is expected before this, after the value that precedes it (at "\\"image\\"").`,
  ],
  'two commas': [
    '{ "name": "a",, "image": "b" }',
    `${path}:1:15: the name of a property is expected here, in double quotes (at ",").`,
  ],
  'a missing colon': [
    '{ "name" "a" }',
    `${path}:1:10: a ":" is expected here, between a property and its value (at "\\"a\\"").`,
  ],
  'a missing value': ['{ "name": }', `${path}:1:11: a value is expected here (at "}").`],
  'a missing brace': [
    '{ "build": { "dockerfile": "D" }',
    `${path}:1:33: an object is not closed; add the missing "}".`,
  ],
  'a missing bracket': [
    '{ "forwardPorts": [1, 2 }',
    `${path}:1:25: a "," is expected before this, after the value that precedes it (at "}").`,
  ],
  'a brace too many': [
    '{ "name": "a" } }',
    `${path}:1:17: the configuration ended before this; remove what follows, or the bracket that closed it too early (at "}").`,
  ],
  'single quotes': [
    "{ 'name': 'a' }",
    `${path}:1:3: this is not JSON: texts stand in double quotes, other values are numbers, true, false, null (at "'name'").`,
  ],
  'an open text': [
    '{ "name": "a\n}',
    `${path}:1:11: a text is not closed; add the missing double quote (at "\\"a").`,
  ],
  'an open comment': [
    '{ "name": "a" } /* end',
    `${path}:1:17: a comment is not closed; add "*/" (at "/* end").`,
  ],
  'an open comment before the last line end': [
    '{} /*\r\n',
    `${path}:1:4: a comment is not closed; add "*/" (at "/*").`,
  ],
  'a bad escape': [
    '{ "name": "C:\\x" }',
    `${path}:1:11: a backslash must be written twice in a text, or be one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u (at "\\"C:\\\\x\\"").`,
  ],
  'a bad unicode escape': [
    '{ "name": "\\u12" }',
    `${path}:1:11: an escape \\u needs four hexadecimal digits (at "\\"\\\\u12\\"").`,
  ],
  'too deep': [
    '{"customizations":' + '['.repeat(100) + ']'.repeat(100) + '}',
    `${path}:1:82: more than 64 lists and objects stand in each other. Make it flatter.`,
  ],
  'too deep, never closed': [
    '['.repeat(200_000),
    `${path}:1:65: more than 64 lists and objects stand in each other. Make it flatter.`,
  ],
  'too long': [
    ' '.repeat(600_000),
    `${path} is too long: 600000 characters, where 524288 are allowed. Make it shorter.`,
  ],
  'a NUL': [
    '{ "postCreateCommand": ["a\\u0000"] }',
    `${path}:1:25: this text has the character NUL in it, which no program takes. Remove it.`,
  ],
  'half a character as a name': [
    '{ "containerEnv": { "\\udc00": "a" } }',
    `${path}:1:21: this text has half of a surrogate pair in it, which no program takes. Remove it.`,
  ],
  'image: a number': [
    '{ "image": 1 }',
    `${path}:1:12: image must be the name of an image, not the number 1. Correct the value.`,
  ],
  'image: empty': [
    '{ "image": "" }',
    `${path}:1:12: image must be the name of an image, not the string "". Correct the value.`,
  ],
  'build: a text': [
    '{ "build": "Dockerfile" }',
    `${path}:1:12: build must be an object, not the string "Dockerfile". Correct the value.`,
  ],
  'build.args: a number': [
    '{ "build": { "dockerfile": "D", "args": { "N": 1 } } }',
    `${path}:1:48: build.args.N must be a string, not the number 1. Correct the value.`,
  ],
  'build.options: a text': [
    '{ "build": { "dockerfile": "D", "options": "-q" } }',
    `${path}:1:44: build.options must be a list of strings, not the string "-q". Correct the value.`,
  ],
  'containerEnv: a number': [
    '{\n  "containerEnv": {\n    "PORT": 3000\n  }\n}',
    `${path}:3:13: containerEnv.PORT must be a string, not the number 3000. Correct the value.`,
  ],
  'containerEnv: null': [
    '{ "containerEnv": { "A": null } }',
    `${path}:1:26: containerEnv.A must be a string, not null. Correct the value.`,
  ],
  'containerEnv: a list': [
    '{ "containerEnv": ["A=1"] }',
    `${path}:1:19: containerEnv must be an object of strings, not a list. Correct the value.`,
  ],
  'remoteEnv: true': [
    '{ "remoteEnv": { "A": true } }',
    `${path}:1:23: remoteEnv.A must be a string or null, not the boolean true. Correct the value.`,
  ],
  'remoteUser: a number': [
    '{ "remoteUser": 1000 }',
    `${path}:1:17: remoteUser must be a string, not the number 1000. Correct the value.`,
  ],
  'workspaceFolder: relative': [
    '{ "workspaceFolder": "src" }',
    `${path}:1:22: workspaceFolder must be an absolute path, not the string "src". Correct the value.`,
  ],
  'workspaceMount: an object': [
    '{ "workspaceMount": {} }',
    `${path}:1:21: workspaceMount must be a string, not an object. Correct the value.`,
  ],
  'forwardPorts: a number': [
    '{ "forwardPorts": 3000 }',
    `${path}:1:19: forwardPorts must be a list of ports, not the number 3000. Correct the value.`,
  ],
  'forwardPorts: too high': [
    '{ "forwardPorts": [80, 65536] }',
    `${path}:1:24: forwardPorts[1] must be a port from 1 to 65535 or "host:port", not the number 65536. Correct the value.`,
  ],
  'forwardPorts: a word': [
    '{ "forwardPorts": ["web"] }',
    `${path}:1:20: forwardPorts[0] must be a port from 1 to 65535 or "host:port", not the string "web". Correct the value.`,
  ],
  'forwardPorts: a fraction': [
    '{ "forwardPorts": [80.5] }',
    `${path}:1:20: forwardPorts[0] must be a port from 1 to 65535 or "host:port", not the number 80.5. Correct the value.`,
  ],
  'postCreateCommand: a number': [
    '{ "postCreateCommand": 1 }',
    `${path}:1:24: postCreateCommand must be a string, a list of strings, or an object of these, not the number 1. Correct the value.`,
  ],
  'postCreateCommand: a list with a number': [
    '{ "postCreateCommand": ["sleep", 1] }',
    `${path}:1:34: postCreateCommand[1] must be a string, not the number 1. Correct the value.`,
  ],
  'postStartCommand: an object with an object': [
    '{ "postStartCommand": { "a": { "b": "c" } } }',
    `${path}:1:30: postStartCommand.a must be a string or a list of strings, not an object. Correct the value.`,
  ],
  'waitFor: unknown': [
    '{ "waitFor": "postAttachCommand" }',
    `${path}:1:14: waitFor must be "initializeCommand", "onCreateCommand", "updateContentCommand", "postCreateCommand" or "postStartCommand", not the string "postAttachCommand". Correct the value.`,
  ],
  'an unsupported property of the wrong shape': [
    '{ "image": "x", "privileged": "yes" }',
    `${path}:1:31: privileged must be true or false, not the string "yes". Correct the value.`,
  ],
  'userEnvProbe: unknown': [
    '{ "image": "x", "userEnvProbe": "maybe" }',
    `${path}:1:33: userEnvProbe must be "none", "loginShell", "interactiveShell" or "loginInteractiveShell", not the string "maybe". Correct the value.`,
  ],
  'hostRequirements: cpus': [
    '{ "image": "x", "hostRequirements": { "cpus": "four" } }',
    `${path}:1:47: hostRequirements.cpus must be a number from 1, not the string "four". Correct the value.`,
  ],
  'several at once: the first of the file': [
    '{ "remoteUser": 1, "image": 2, "name": 3 }',
    `${path}:1:17: remoteUser must be a string, not the number 1. Correct the value (2 more of this kind in the file).`,
  ],
};

test.each(Object.entries(malformed))('malformed: %s', (_name, [text, message]) => {
  let thrown: unknown;
  try {
    parseConfiguration(text, path);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(AtelierError);
  expect(thrown).toMatchObject({ code: 'invalid_argument', message });
});

test('compose without an image is refused, with one it is a warning', () => {
  expect(() => parseConfiguration('{\n  "dockerComposeFile": "c.yml" }', path)).toThrow(
    expect.objectContaining({
      code: 'unimplemented',
      message: `${path}:2:24: dockerComposeFile: compose configurations are not supported yet. Give the configuration an image or a build instead.`,
    }),
  );
  const text = '{ "image": "x", "dockerComposeFile": ["c.yml"], "service": "app" }';
  expect(parseConfiguration(text, path).warnings).toEqual([
    'dockerComposeFile is not supported yet and has no effect.',
    'service is not supported yet and has no effect.',
  ]);
});
