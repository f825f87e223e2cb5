/** Checks who depends on whom in an automations file. */
import type {
  AutomationsFile_Service,
  AutomationsFile_Task,
} from '@atelier/api/gitpod/environment_automation';
import type { Entry } from './reader.ts';

type Kind = 'tasks' | 'services';

interface Link {
  kind: Kind;
  name: string;
}

/**
 * Throws `invalid_argument` at the first dependency that does not exist, then at the first that closes a
 * cycle. Services cannot depend on tasks, so a cycle is of tasks only or of services only.
 */
export function checkDependencies(
  services: ReadonlyMap<string, AutomationsFile_Service>,
  tasks: ReadonlyMap<string, AutomationsFile_Task>,
  entryAt: (path: readonly (string | number)[]) => Entry,
): void {
  const maps = { services, tasks };
  const dependencies = ({ kind, name }: Link): string[] => maps[kind].get(name)?.dependsOn ?? [];
  const entryOf = (link: Link, index: number): Entry => entryAt([link.kind, link.name, 'dependsOn', index]);
  const links: Link[] = [
    ...[...services.keys()].map((name): Link => ({ kind: 'services', name })),
    ...[...tasks.keys()].map((name): Link => ({ kind: 'tasks', name })),
  ];
  for (const link of links) {
    for (const [index, name] of dependencies(link).entries()) {
      if (services.has(name) || (link.kind === 'tasks' && tasks.has(name))) continue;
      throw entryOf(link, index).error(missing(link, name, tasks.has(name)));
    }
  }
  const finished = { services: new Set<string>(), tasks: new Set<string>() };
  for (const link of links) {
    if (!finished[link.kind].has(link.name)) {
      refuseCycle(link, maps[link.kind], finished[link.kind], dependencies, entryOf);
    }
  }
}

function missing(link: Link, name: string, isTask: boolean): string {
  if (isTask) {
    return `names ${JSON.stringify(name)}, which is a task; a service can depend on services only.`;
  }
  const wanted = link.kind === 'tasks' ? 'task or service' : 'service';
  return `names ${JSON.stringify(name)}, but the file has no such ${wanted}. Correct or remove it.`;
}

/** Follows dependencies of the same kind, depth first; what is in `finished` is known to close no cycle. */
function refuseCycle(
  start: Link,
  same: ReadonlyMap<string, unknown>,
  finished: Set<string>,
  dependencies: (link: Link) => string[],
  entryOf: (link: Link, index: number) => Entry,
): void {
  const way: { name: string; next: number }[] = [{ name: start.name, next: 0 }];
  for (let top = way.at(-1); top; top = way.at(-1)) {
    const link = { kind: start.kind, name: top.name };
    const index = top.next;
    const name = dependencies(link)[index];
    top.next += 1;
    if (name === undefined) finished.add(way.pop()?.name ?? '');
    else if (way.some((step) => step.name === name)) {
      const from = way.findIndex((step) => step.name === name);
      const round = [...way.slice(from).map((step) => step.name), name].join(' -> ');
      throw entryOf(link, index).error(`closes a cycle: ${round}. Remove one of these dependencies.`);
    } else if (same.has(name) && !finished.has(name)) way.push({ name, next: 0 });
  }
}
