/** What a package may import, and why everything else is refused. */
export interface ImportRule {
  may: readonly string[];
  /** Why an import that is not listed is refused. */
  why: string;
  /** A better reason for some of them. */
  whyNot?: Readonly<Record<string, string>>;
  /** Imports that only some files of the package may make. */
  only?: readonly { packages: RegExp; files: RegExp; why: string }[];
}

const driverImplementation: ImportRule = {
  may: ['driver', 'posix', 'api'],
  why: 'a driver realizes one interface on one kind of machine and knows nothing of who calls it',
  whyNot: {
    runner: 'the runner calls drivers, never the other way round',
    reconcile: 'a driver does, it does not decide: the decision stays in a plan that can be simulated',
    plane: 'the plane never sees a machine: a driver that knew it would bind machines to one plane',
  },
};

const everyRoom: ImportRule = { may: ['*'], why: 'the dashboard is tried in a browser, not imported' };

/** The import table of the repository: the only place where an edge between packages is allowed. */
export const importTable: Readonly<Record<string, ImportRule>> = {
  api: {
    may: [],
    why: 'api is the definition that everything stands on, so it stands on nothing',
  },
  posix: {
    may: [],
    why: 'it calls the C library and knows nothing of what is started by it, or what for',
  },
  reconcile: {
    may: ['api'],
    why: 'a plan is a pure function of desired, observed and now: it knows shapes and nothing that can act',
    whyNot: {
      store: 'a plan that can read the store no longer decides from its arguments alone',
      driver: 'a plan returns actions, the runner carries them out',
    },
  },
  devcontainer: { may: ['api'], why: 'it turns files into configuration and ordered steps, it runs nothing' },
  automations: { may: ['api'], why: 'it turns files into tasks and services, it runs nothing' },
  policy: {
    may: ['api'],
    why: 'who may do what is a pure decision with a reason',
    whyNot: { store: 'a decision gets the rows it needs as arguments, so that it can be tested as a table' },
  },
  store: {
    may: ['api'],
    why: 'the store keeps objects with revisions and has no opinion on them',
    whyNot: {
      plane: 'the plane uses the store, never the other way round',
      reconcile: 'rules live in plans; a store that knows them is a second place for each rule',
    },
  },
  plane: {
    may: ['api', 'reconcile', 'policy', 'store', 'devcontainer', 'automations', 'gateway'],
    why: 'the plane decides and records: it never touches a machine',
    whyNot: {
      runner: 'the runner dials the plane: they share the protocol in api and nothing else',
      driver: 'source code, disks and credentials stay with the runner',
      supervisor: 'facts from inside reach the plane through the runner only',
      sdk: 'the sdk is a client of the plane',
    },
  },
  driver: {
    may: ['api'],
    why: 'the interfaces and their contract suites do not know who implements or calls them',
  },
  'driver-simulated': driverImplementation,
  'driver-oci': driverImplementation,
  'driver-docker': driverImplementation,
  'driver-microvm': driverImplementation,
  'driver-incus': driverImplementation,
  runner: {
    may: ['api', 'reconcile', 'devcontainer', 'automations', 'driver', 'gateway'],
    why: 'the runner carries plans out through interfaces and goes on alone when the plane is away',
    whyNot: {
      plane: 'the runner must work behind NAT and without the plane: they share the protocol in api only',
      store: 'the runner has its ledger on its own disk, the database belongs to the plane',
      policy: 'who may do what is decided by the plane, the runner gets the outcome',
      supervisor: 'the supervisor is shipped into environments as a bundle and talks over a socket',
    },
    only: [
      {
        packages: /^(driver-|supervisor$)/,
        files: /^src\/main\.ts$|\.test\.ts$/,
        why: 'only main.ts (and tests) name a driver and the bundle that it starts: the rest knows interfaces',
      },
    ],
  },
  supervisor: {
    may: ['api', 'automations', 'posix'],
    why: 'the supervisor is bundled into every environment: what it imports is paid for in each of them',
    whyNot: { runner: 'the supervisor outlives the runner and must not share its code' },
  },
  gateway: { may: ['api'], why: 'the ways in serve the plane and the runner alike, so they know neither' },
  sdk: {
    may: ['api'],
    why: 'the public client is what anybody outside could write',
    whyNot: { plane: 'a client that imports the server proves nothing about the wire' },
  },
  cli: {
    may: ['sdk', 'api'],
    why: 'the command line is a client like any other',
    only: [
      {
        packages: /^(plane|runner)$/,
        files: /\/daemon[^/]*(\/.*)?\.ts$/,
        why: 'only the daemon command starts plane and runner; every other command goes through the sdk',
      },
    ],
  },
  dashboard: { may: ['sdk', 'api'], why: 'the dashboard is a client like any other' },
  simulation: everyRoom,
  tests: everyRoom,
  bench: everyRoom,
  tools: { may: [], why: 'the tools judge the repository and must run when it does not' },
};

/** Why `from` must not import `to` in this file (a path inside the package), or undefined when it may. */
export function forbiddenImport(from: string, to: string, file: string): string | undefined {
  const rule = importTable[from];
  if (rule === undefined)
    return `package ${from} is not in tools/tidy/import-table.ts: add it with its reasons`;
  if (from === to || rule.may.includes(to)) return undefined;
  if (rule.may.includes('*') && to !== 'dashboard') return undefined;
  const only = rule.only?.find((entry) => entry.packages.test(to));
  if (only !== undefined) return only.files.test(file) ? undefined : only.why;
  return rule.whyNot?.[to] ?? rule.why;
}

/** Whether a package may name another in its package.json: some file of it may import the other. */
export function forbiddenDependency(from: string, to: string): string | undefined {
  const some = importTable[from]?.only?.some((entry) => entry.packages.test(to)) ?? false;
  return some ? undefined : forbiddenImport(from, to, 'package.json');
}
