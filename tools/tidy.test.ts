import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { purityRule, systemRule } from './tidy/ambient.ts';
import { codeMapRule, contractRule, protocolRule } from './tidy/declared.ts';
import { docstringRule } from './tidy/docstrings.ts';
import { cycleRule, importTableRule } from './tidy/imports.ts';
import { nameRule } from './tidy/names.ts';
import { errorRule, phaseRule } from './tidy/single-place.ts';
import { sizeRule } from './tidy/size.ts';
import { textRule } from './tidy/text.ts';
import { plantedTree, readTree, type Rule, type Violation } from './tidy/tree.ts';

const rules: Rule[] = [
  importTableRule,
  cycleRule,
  purityRule,
  systemRule,
  sizeRule,
  errorRule,
  phaseRule,
  docstringRule,
  nameRule,
  contractRule,
  codeMapRule,
  protocolRule,
  textRule,
];

function printed(violations: Violation[]): string[] {
  return violations
    .toSorted((a, b) => a.path.localeCompare(b.path) || a.line - b.line)
    .map(({ path, line, message }) => `${path}:${line}: ${message}`);
}

describe('the repository', () => {
  const tree = readTree(resolve(import.meta.dirname, '..'));

  for (const rule of rules) {
    it(rule.name, ({ skip }) => {
      skip(
        rule === codeMapRule && !tree.paths.includes('ARCHITECTURE.md'),
        'there is no ARCHITECTURE.md yet',
      );
      expect(printed(rule.check(tree)).join('\n')).toBe('');
    });
  }
});

const api = { 'packages/api/package.json': '{"exports": {".": "./src/index.ts", "./gitpod/*": "./gen/*"}}' };
const reconcile = 'packages/reconcile/src/environment';

/** A rule, files that break it, and where it has to say so. */
const planted: [rule: Rule, what: string, files: Record<string, string>, where: RegExp[]][] = [
  [
    importTableRule,
    'a forbidden package, with the reason of that edge',
    { 'packages/plane/src/a.ts': "import type { X } from '@atelier/runner';" },
    [/^packages\/plane\/src\/a\.ts:1: plane must not import runner: the runner dials the plane/],
  ],
  [
    importTableRule,
    'a forbidden import type',
    { 'packages/sdk/src/a.ts': "\ntype X = import('@atelier/plane').X;" },
    [/a\.ts:2: sdk must not import plane/],
  ],
  [
    importTableRule,
    'a package that is not in the table',
    { 'packages/novel/src/a.ts': "import '@atelier/api';", ...api },
    [/novel is not in/],
  ],
  [
    importTableRule,
    'a driver named outside the main.ts of the runner',
    { 'packages/runner/src/loop.ts': "await import('@atelier/driver-oci');" },
    [/only main\.ts/],
  ],
  [
    importTableRule,
    'plane started by a command other than daemon',
    { 'packages/cli/src/commands/up.ts': "import '@atelier/plane';" },
    [/only the daemon command/],
  ],
  [
    importTableRule,
    'a forbidden dependency in package.json',
    { 'packages/sdk/package.json': '{\n"dependencies": {\n"@atelier/store": "workspace:*"}}' },
    [/^packages\/sdk\/package\.json:3: sdk must not depend on store/],
  ],
  [
    importTableRule,
    'a relative path into another package, a file that is not exported, a missing file',
    {
      ...api,
      'packages/sdk/src/a.ts':
        "import '../../api/src/id.ts';\nimport '@atelier/api/secret';\nimport './b.ts';",
    },
    [/a\.ts:1: .*reaches into api/, /a\.ts:2: .*does not export it/, /a\.ts:3: .*no file/],
  ],
  [
    importTableRule,
    'a library in api',
    { 'packages/api/src/a.ts': "import pino from 'pino';" },
    [/api must not import pino/],
  ],
  [
    cycleRule,
    'a cycle, also of types only',
    {
      'packages/sdk/src/a.ts': "import { b } from './b.ts';",
      'packages/sdk/src/b.ts': "import { c } from './c.ts';",
      'packages/sdk/src/c.ts': "\nimport type { A } from './a.ts';",
    },
    [/c\.ts:2: import cycle a\.ts -> b\.ts -> c\.ts -> a\.ts/],
  ],
  [
    purityRule,
    'every way out of a pure package',
    {
      [`${reconcile}/a.ts`]:
        "import 'node:fs';\nDate.now();\nnew Date();\nMath.random();\nsetTimeout(() => 1, 2);",
      'packages/policy/src/a.ts': 'performance.now();\nprocess.exit();\nfetch("x");\nsetInterval(f, 1);',
    },
    [
      ...[1, 2, 3, 4].map((line) => RegExp(`policy.*:${line}: .*pure`)),
      ...[1, 2, 3, 4, 5].map((line) => RegExp(`reconcile.*:${line}: .*pure`)),
    ],
  ],
  [
    purityRule,
    'a plan that waits, and a file beside it',
    {
      [`${reconcile}/plan.ts`]: 'export async function f() {\n  await g();\n}\n',
      [`${reconcile}/deep/order.ts`]: 'export type F = () => Promise<void>;',
      'packages/reconcile/src/loop.ts': 'export async function loop() {}',
    },
    [/order\.ts:1: Promise/, /plan\.ts:1: async/, /plan\.ts:2: await/],
  ],
  [
    systemRule,
    'clock, random and environment outside system.ts',
    {
      'packages/sdk/src/a.ts':
        "import { randomUUID } from 'node:crypto';\nprocess.env['X'];\nDate.now();\nnew Date();\nMath.random();\nsetTimeout(f, 1);",
      'packages/sdk/src/b.ts':
        'crypto.randomUUID();\nperformance.now();\nimport * as t from "node:timers/promises";\nrun(setInterval);\nimport { setTimeout as s } from "node:timers";',
    },
    [1, 2, 3, 4, 5, 6]
      .map((line) => RegExp(`a\\.ts:${line}:`))
      .concat([1, 2, 3, 4, 5].map((line) => RegExp(`b\\.ts:${line}:`))),
  ],
  [
    sizeRule,
    'a file of 401 lines, a test file of 601, a function of 71',
    {
      'packages/sdk/src/a.ts': 'x;\n'.repeat(401),
      'packages/sdk/src/a.test.ts': 'x;\n'.repeat(601),
      'tools/b.ts': `\nfunction f() {${'\n'.repeat(70)}}\n`,
    },
    [/a\.test\.ts:601: 601 lines/, /a\.ts:401: 401 lines/, /b\.ts:2: function of 71 lines/],
  ],
  [
    errorRule,
    'another error, another error class',
    {
      'packages/sdk/src/a.ts':
        "throw new Error('x');\nreject(new TypeError('y'));\nclass MyError extends Error {}",
    },
    [/a\.ts:1/, /a\.ts:2/, /a\.ts:3: a second error class/],
  ],
  [
    phaseRule,
    'a phase written by hand',
    {
      'packages/plane/src/a.ts':
        'const s = { phase: EnvironmentPhase.RUNNING };\ns.phase = x ? EnvironmentPhase.STOPPED : s.phase;',
    },
    [/a\.ts:1/, /a\.ts:2/],
  ],
  [
    docstringRule,
    'exports without a sentence',
    {
      'packages/sdk/src/a.ts':
        'export const a = 1;\n/** Short. */\nexport type B = 1;\n// This is a line comment, a sentence even.\nexport class C {}\n/** no full stop at the end of this */\nexport function f() {}',
    },
    [/a\.ts:1: export a /, /a\.ts:3: export B /, /a\.ts:5: export C /, /a\.ts:7: export f /],
  ],
  [
    nameRule,
    'a catch-all name',
    { 'packages/sdk/src/utils/a.ts': '', 'tools/helpers.ts': '' },
    [/utils is/, /helpers\.ts is/],
  ],
  [
    contractRule,
    'a driver that imports the suite and does not call it',
    {
      'packages/driver-new/package.json': '{}',
      'packages/driver-new/src/a.test.ts':
        "import { instanceDriverSuite } from '@atelier/driver';\nit('x', () => {});",
    },
    [/driver-new has no test/],
  ],
  [
    codeMapRule,
    'a package that is not on the map, a long document',
    {
      'packages/driver/package.json': '{}',
      'packages/api/package.json': '{}',
      'ARCHITECTURE.md': `\`api\` \`driver-oci\`\n${'x\n'.repeat(300)}`,
    },
    [/does not name the package driver$/, /301 lines/],
  ],
  [
    protocolRule,
    'a version without its line, a line without a date',
    {
      'packages/api/src/protocol.ts': [
        "export const runnerProtocolLog = [{ version: 2, date: '2026-01-01' }, { version: 3 }];",
        'export const runnerProtocolVersion = 3;',
        'export const protocolVersion = 1;',
      ].join('\n'),
    },
    [
      /protocol\.ts:2: runnerProtocolVersion is 3.* is 2/,
      /protocol\.ts:3: protocolVersion is 1.* is missing/,
    ],
  ],
  [
    textRule,
    'a registry host, a folder of this machine, a tarball host',
    {
      'README.md': `ask ${['pypi', 'org'].join('.')}\nand read ${['', 'work', 'x'].join('/')}`,
      'pnpm-lock.yaml': 'a: 1\ntarball: https://example.com/a.tgz',
    },
    [/pnpm-lock\.yaml:2: /, /README\.md:1: /, /README\.md:2: /],
  ],
];

describe('each rule can fail', () => {
  it.each(planted.map(([rule, what, files, where]) => ({ rule, what, files, where })))(
    '$rule.name: $what',
    ({ rule, files, where }) => {
      const found = printed(rule.check(plantedTree(files)));
      expect(found).toHaveLength(where.length);
      for (const [index, pattern] of where.entries()) expect(found[index]).toMatch(pattern);
    },
  );

  it('has a planted violation for every rule', () => {
    expect(new Set(planted.map(([rule]) => rule))).toEqual(new Set(rules));
  });
});

describe('what is allowed stays allowed', () => {
  it('passes the forms that look alike', () => {
    const tree = plantedTree({
      ...api,
      'packages/api/src/index.ts': '',
      'packages/api/src/protocol.ts':
        "const protocolVersion = 2;\nconst protocolLog = [{ version: 2, date: '2026-01-01' }];",
      'packages/runner/src/main.ts':
        "import '@atelier/driver-oci';\nimport { X } from '@atelier/api/gitpod/environment';",
      'packages/driver/package.json': '{"exports": "./src/index.ts"}',
      'packages/driver-oci/package.json': '{"exports": "./src/index.ts"}',
      'packages/driver-oci/src/a.test.ts':
        "import { diskDriverSuite } from '@atelier/driver';\ndiskDriverSuite(f);",
      'packages/automations/src/a.ts': [
        'const codeOf = (process: Process) => process.exit;',
        'for (const process of processes) codeOf(process);',
      ].join('\n'),
      'packages/runner/src/system.ts': 'setTimeout(f, Date.now());\nprocess.env;',
      'packages/runner/src/a.ts': [
        '/** Asks the clock that it was given, never the real one. */',
        'export const a = (clock: Clock) => clock.setTimeout(() => new Date(clock.nowMs()), 1);',
        'const wanted = { desiredPhase: EnvironmentPhase.RUNNING };',
        'const desired = { phase: toWish(EnvironmentPhase.RUNNING), name: EnvironmentPhase[phase] };',
        'const running = environment.phase === EnvironmentPhase.RUNNING;',
        'interface Clock { setTimeout(f: () => void, ms: number): void; nowMs(): number }',
        'const folder = `${home}/work/x`;',
      ].join('\n'),
      'packages/driver/src/suite.ts': `function suite() { describe('x', () => {${'\n'.repeat(100)}}); }`,
      'packages/runner/src/a.test.ts': `describe.skipIf(x)('y', () => {${'\n'.repeat(100)}});\nthrow new Error('x');`,
    });
    expect(rules.flatMap((rule) => printed(rule.check(tree)))).toEqual([]);
  });
});
