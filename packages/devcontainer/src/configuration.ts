/**
 * The shape of a devcontainer.json, as far as it is acted on. A property that is absent here is checked
 * and named in a warning when the file is parsed, and nobody can act on it by accident.
 */

/** A life-cycle command: text for a shell, an argument vector, or named commands that run in parallel. */
export type LifecycleCommand = string | string[] | Record<string, string | string[]>;

/** The life-cycle commands in the order in which they run. */
export const lifecycleNames = [
  'initializeCommand',
  'onCreateCommand',
  'updateContentCommand',
  'postCreateCommand',
  'postStartCommand',
  'postAttachCommand',
] as const;

/** The name of one life-cycle command. */
export type LifecycleName = (typeof lifecycleNames)[number];

/** The `build` property: how an image is made from a Dockerfile; paths are relative to the configuration. */
export interface BuildConfiguration {
  dockerfile?: string;
  context?: string;
  target?: string;
  args?: Record<string, string>;
}

/** A checked devcontainer.json: every property that is present has the type given here. */
export interface DevContainerConfiguration {
  name?: string;
  image?: string;
  build?: BuildConfiguration;
  /** The older spelling of `build.dockerfile`. */
  dockerFile?: string;
  /** The older spelling of `build.context`. */
  context?: string;
  /** The user of the environment's first process; undefined means the image's. */
  containerUser?: string;
  /** The user that commands, terminals and editors run as; undefined means `containerUser`. */
  remoteUser?: string;
  /** Variables of every process of the environment. */
  containerEnv?: Record<string, string>;
  /** Variables of commands, terminals and editors only; null takes a variable away. */
  remoteEnv?: Record<string, string | null>;
  workspaceFolder?: string;
  workspaceMount?: string;
  /** A port number, its decimal text, or "host:port". */
  forwardPorts?: (number | string)[];
  initializeCommand?: LifecycleCommand;
  onCreateCommand?: LifecycleCommand;
  updateContentCommand?: LifecycleCommand;
  postCreateCommand?: LifecycleCommand;
  postStartCommand?: LifecycleCommand;
  postAttachCommand?: LifecycleCommand;
  /** Up to which command a client waits before it connects. */
  waitFor?: Exclude<LifecycleName, 'postAttachCommand'>;
}

/** A checked configuration and what is in the file but has no effect yet, one sentence each. */
export interface ParsedConfiguration {
  configuration: DevContainerConfiguration;
  warnings: string[];
}
