/** Where the repository stands inside the environment, and which ports are forwarded. */
import type { DevContainerConfiguration } from './configuration.ts';
import { basenameOf, joinPath, relativeInside } from './paths.ts';

/** Where the repository is mounted and where commands start. */
export interface WorkspacePlan {
  /** The folder that commands, terminals and editors start in (absolute, inside). */
  folder: string;
  /** Where the mounted part of the repository stands (absolute, inside). */
  mountTarget: string;
  /** The mounted part of the repository: `.` for all of it, else a folder in it. */
  mountSubfolder: string;
  /** What the configuration asks for and does not get. */
  warnings: string[];
}

/** `workspaceFolder`, by default `/workspaces/` and the name of the repository's folder. */
export function resolveWorkspaceFolder(
  configuration: Pick<DevContainerConfiguration, 'workspaceFolder'>,
  localWorkspaceFolder: string,
): string {
  return configuration.workspaceFolder || `/workspaces/${basenameOf(localWorkspaceFolder)}`;
}

/**
 * Plans the mount of the repository for a substituted configuration. Of a `workspaceMount` only its source
 * and target count, and only when the source is the repository, a folder in it, or a folder around it (then
 * the repository stands at its own place under the target). Any other mount is not made, with a warning: the
 * repository is then mounted at the target all the same, so that the workspace folder exists.
 */
export function planWorkspace(
  configuration: DevContainerConfiguration,
  localWorkspaceFolder: string,
): WorkspacePlan {
  const plan: WorkspacePlan = {
    folder: resolveWorkspaceFolder(configuration, localWorkspaceFolder),
    mountTarget: `/workspaces/${basenameOf(localWorkspaceFolder)}`,
    mountSubfolder: '.',
    warnings: [],
  };
  if (configuration.workspaceMount === undefined) return plan;
  const { type, source, target } = parseMount(configuration.workspaceMount);
  plan.mountTarget = joinPath(target ?? plan.folder);
  const inner = source && relativeInside(localWorkspaceFolder, source);
  const outer = source && relativeInside(source, localWorkspaceFolder);
  if (type === 'bind' && inner) plan.mountSubfolder = inner;
  else if (type === 'bind' && outer) plan.mountTarget = joinPath(plan.mountTarget, outer);
  else {
    plan.warnings.push(
      `workspaceMount ${JSON.stringify(configuration.workspaceMount)} is not supported: only a bind mount of the repository is. The repository is mounted at ${plan.mountTarget}.`,
    );
  }
  return plan;
}

/** The ports to forward and those that are not. */
export interface PortPlan {
  /** Ports inside the environment, each once, in the order of the file. */
  ports: number[];
  warnings: string[];
}

/** Plans `forwardPorts`: a port of another host is not forwarded and is named in a warning. */
export function planPorts(configuration: DevContainerConfiguration): PortPlan {
  const ports = new Set<number>();
  const warnings: string[] = [];
  for (const entry of configuration.forwardPorts ?? []) {
    const [port, host] = String(entry).split(':').reverse();
    if (host === undefined || ['localhost', '127.0.0.1', '0.0.0.0'].includes(host)) ports.add(Number(port));
    else {
      warnings.push(
        `forwardPorts: ${JSON.stringify(entry)} is a port of another host and is not forwarded; only ports of the environment itself are.`,
      );
    }
  }
  return { ports: [...ports], warnings };
}

function parseMount(text: string): { type: string; source: string | undefined; target: string | undefined } {
  const fields = new Map<string, string>();
  for (const field of text.split(',')) {
    const equals = field.indexOf('=');
    if (equals > 0) fields.set(field.slice(0, equals).trim(), field.slice(equals + 1).trim());
  }
  return {
    type: fields.get('type') ?? 'volume',
    source: fields.get('source') ?? fields.get('src'),
    target: fields.get('target') ?? fields.get('destination') ?? fields.get('dst'),
  };
}
