/** Every property of a devcontainer.json: its shape, and whether it has an effect yet. */
import { lifecycleNames } from './configuration.ts';
import type { Shape } from './shape.ts';

/** A property at the top of the file. */
export interface Property {
  shape: Shape;
  /** Why the property has no effect, as the end of "<name> ..."; absent for one that has its effect. */
  ignored?: string;
  /** The value that asks for what happens anyway; by default false and anything empty asks for nothing. */
  met?: boolean | string;
  /** The properties of its own, when one of them has no effect though the whole has. */
  parts?: Readonly<Record<string, Property>>;
}

/** Whether an ignored property with this value deserves a warning: it asks for something that does not happen. */
export function deservesWarning(property: Property, value: unknown): boolean {
  if (property.ignored === undefined) return false;
  if (property.met !== undefined) return value !== property.met;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return value !== false;
}

const text: Shape = { kind: 'string', text: 'a string' };
const flag: Shape = { kind: 'boolean', text: 'true or false' };
const anything: Shape = { kind: 'anything', text: 'anything' };
const nothing: Shape = { kind: 'null', text: 'null' };
const texts: Shape = { kind: 'list', text: 'a list of strings', of: text };
const textMap: Shape = { kind: 'map', text: 'an object of strings', of: text };
const object: Shape = { kind: 'map', text: 'an object', of: anything };
const textOrTexts = either('a string or a list of strings', text, texts);

const port: Shape = { kind: 'number', text: 'a port', minimum: 1, maximum: 65535 };
const digits = '(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';
const forwardedPort = either('a port from 1 to 65535 or "host:port"', port, {
  kind: 'pattern',
  text: '"host:port"',
  pattern: new RegExp(`^(?:[A-Za-z0-9._-]+:)?${digits}$`),
});
const publishedPort = either('a port or a string', port, text);

const lifecycleCommand = either('a string, a list of strings, or an object of these', text, texts, {
  kind: 'map',
  text: 'an object',
  of: textOrTexts,
});

const absolutePath: Shape = {
  kind: 'pattern',
  text: 'an absolute path',
  pattern: /^(?:\/|\$\{)/,
};

const buildProperties: Readonly<Record<string, Property>> = {
  dockerfile: { shape: text },
  context: { shape: text },
  target: { shape: text },
  args: { shape: textMap },
  cacheFrom: { shape: textOrTexts, ignored: 'has no effect: no image is taken as a cache of a build.' },
  options: { shape: texts, ignored: 'have no effect: no container engine is called with them.' },
};

const hostRequirements: Shape = {
  kind: 'record',
  text: 'an object',
  properties: {
    cpus: { kind: 'number', text: 'a number from 1', minimum: 1, maximum: 65536 },
    memory: text,
    storage: text,
    gpu: either('true, false, "optional" or an object', flag, text, object),
  },
};

const notYet = 'is not supported yet and has no effect.';
const editor = 'is for editors; Atelier does not pass it on to them yet.';

/** All properties by name, in the order of the specification. */
export const properties: Readonly<Record<string, Property>> = {
  $schema: { shape: text },
  name: { shape: text },
  image: { shape: { kind: 'pattern', text: 'the name of an image', pattern: /\S/ } },
  build: {
    shape: {
      kind: 'record',
      text: 'an object',
      properties: Object.fromEntries(
        Object.entries(buildProperties).map(([name, { shape }]) => [name, shape]),
      ),
    },
    parts: buildProperties,
  },
  dockerFile: { shape: text },
  context: { shape: text },
  containerUser: { shape: text },
  remoteUser: { shape: text },
  containerEnv: { shape: textMap },
  remoteEnv: {
    shape: {
      kind: 'map',
      text: 'an object of strings or null',
      of: either('a string or null', text, nothing),
    },
  },
  workspaceFolder: { shape: absolutePath },
  workspaceMount: { shape: text },
  forwardPorts: { shape: { kind: 'list', text: 'a list of ports', of: forwardedPort } },
  ...Object.fromEntries(lifecycleNames.map((name) => [name, { shape: lifecycleCommand }])),
  waitFor: { shape: words(...lifecycleNames.filter((name) => name !== 'postAttachCommand')) },
  features: { shape: object, ignored: 'are not supported yet and are not installed.' },
  overrideFeatureInstallOrder: { shape: texts, ignored: notYet },
  dockerComposeFile: { shape: textOrTexts, ignored: notYet },
  service: { shape: text, ignored: notYet },
  runServices: { shape: texts, ignored: notYet },
  runArgs: { shape: texts, ignored: 'are not supported: no container engine is called with them.' },
  mounts: {
    shape: { kind: 'list', text: 'a list of mounts', of: either('a string or an object', text, object) },
    ignored: 'are not supported yet and are not made.',
  },
  privileged: { shape: flag, ignored: notYet },
  init: {
    shape: flag,
    ignored: 'has no effect: an environment always has an init process that reaps.',
    met: true,
  },
  capAdd: { shape: texts, ignored: notYet },
  securityOpt: { shape: texts, ignored: notYet },
  overrideCommand: {
    shape: flag,
    ignored: 'has no effect: the first process is always the supervisor, never the command of the image.',
    met: true,
  },
  shutdownAction: {
    shape: words('none', 'stopContainer', 'stopCompose'),
    ignored: 'has no effect: an environment stops when it is asked to or has been idle for long enough.',
  },
  updateRemoteUserUID: {
    shape: flag,
    ignored: 'has no effect: the files of the repository belong to the remote user in any case.',
    met: true,
  },
  userEnvProbe: {
    shape: words('none', 'loginShell', 'interactiveShell', 'loginInteractiveShell'),
    ignored: notYet,
    met: 'loginInteractiveShell',
  },
  hostRequirements: {
    shape: hostRequirements,
    ignored: 'are not supported yet: the environment class decides.',
  },
  secrets: { shape: object, ignored: 'are not supported yet and are not asked for.' },
  portsAttributes: { shape: object, ignored: notYet },
  otherPortsAttributes: { shape: object, ignored: notYet },
  appPort: {
    shape: either('a port, a string, or a list of these', port, text, {
      kind: 'list',
      text: 'a list',
      of: publishedPort,
    }),
    ignored: 'is not supported: no port of the machine is opened. Use forwardPorts.',
  },
  customizations: { shape: object, ignored: editor },
  extensions: { shape: texts, ignored: editor },
  settings: { shape: object, ignored: editor },
  devPort: { shape: port, ignored: editor },
  codespaces: { shape: object, ignored: 'is for another product and has no effect.' },
};

function either(description: string, ...shapes: Shape[]): Shape {
  return { kind: 'either', text: description, shapes };
}

function words(...allowed: string[]): Shape {
  const quoted = allowed.map((word) => JSON.stringify(word));
  return {
    kind: 'words',
    text: `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`,
    words: allowed,
  };
}
