/**
 * Runs over configurations that others wrote, when they are there, and compares with what the reference
 * tool said of them; none of their content is kept here.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { AtelierError } from '@atelier/api';
import { beforeEach, describe, expect, test } from 'vitest';
import { lifecycleNames, type DevContainerConfiguration } from './configuration.ts';
import { planImage } from './image.ts';
import { planLifecycle } from './lifecycle.ts';
import { parseConfiguration } from './parse.ts';
import { devContainerId, substitute } from './substitute.ts';
import { planPorts, planWorkspace } from './workspace.ts';

const root = process.env['ATELIER_CORPUS'] ?? resolve(import.meta.dirname, '../../../../shared/corpus');
const present = existsSync(`${root}/index.json`);

interface CorpusFile {
  file: string;
  kind: string;
  path: string;
  tags: string[];
}

interface Answer {
  exit: number;
  output: {
    configuration: Record<string, unknown>;
    workspace: { workspaceFolder: string; workspaceMount: string };
  } | null;
}

interface Oracle {
  parses: boolean;
  inputs: {
    localWorkspaceFolder: string;
    localEnv: Record<string, string>;
    containerEnv: Record<string, string>;
  };
  noContainer: Answer;
  withContainer: Answer;
}

/** The properties that we act on: compared one by one. */
const compared = [
  'name',
  'image',
  'build',
  'dockerFile',
  'context',
  'containerUser',
  'remoteUser',
  'containerEnv',
  'remoteEnv',
  'workspaceFolder',
  'workspaceMount',
  'forwardPorts',
  ...lifecycleNames,
  'waitFor',
] as const;

/** What we refuse although it is JSON and the reference tool reads it: by the file's tag, with our words. */
const refusals: [tag: RegExp, words: string][] = [
  [/^compose-(?:string|array)$/, 'dockerComposeFile: compose configurations are not supported yet.'],
  [/^wrong-type-features$/, 'features must be an object, not a list.'],
];

describe('corpus of devcontainer.json files', () => {
  beforeEach(({ skip }) => skip(!present, 'no corpus: set ATELIER_CORPUS to its folder'));

  const index = present ? (JSON.parse(readFileSync(`${root}/index.json`, 'utf8')) as CorpusFile[]) : [];
  const files = index
    .filter((entry) => entry.kind === 'devcontainer')
    .map(({ file, path, tags }) => {
      const name = file.slice('devcontainer/'.length, -'.json'.length);
      const oracle = JSON.parse(readFileSync(`${root}/oracle/${name}.json`, 'utf8')) as Oracle;
      return { name, path, tags, text: readFileSync(`${root}/${file}`, 'utf8'), oracle };
    });

  function parse(text: string): DevContainerConfiguration | AtelierError {
    try {
      return parseConfiguration(text, 'devcontainer.json').configuration;
    } catch (error) {
      if (error instanceof AtelierError) return error;
      throw error;
    }
  }

  test('every malformed file gets an error with a place', () => {
    const malformed = files.filter(({ oracle }) => !oracle.parses);
    for (const { name, text } of malformed) {
      const answer = parse(text);
      expect(answer, name).toBeInstanceOf(AtelierError);
      const place = text.trim() === '' ? /^devcontainer\.json is empty/ : /^devcontainer\.json:\d+:\d+: \S/;
      expect(answer, name).toMatchObject({ code: 'invalid_argument', message: expect.stringMatching(place) });
    }
    console.info(`devcontainer corpus: ${malformed.length} malformed files refused`);
    expect(malformed.length).toBeGreaterThan(10);
  });

  test('every other file is read, but for what is not supported', () => {
    let read = 0;
    for (const { name, tags, text } of files.filter(({ oracle }) => oracle.parses)) {
      const words = refusals.find(([tag]) => tags.some((present) => tag.test(present)))?.[1];
      const answer = parse(text);
      if (words === undefined) {
        expect(answer, name).not.toBeInstanceOf(AtelierError);
        read += 1;
      } else expect(answer, name).toMatchObject({ message: expect.stringContaining(words) });
    }
    console.info(`devcontainer corpus: ${read} of ${files.length} files read`);
    expect(read).toBeGreaterThan(60);
  });

  test('substitution answers as the reference tool, without and with a container', () => {
    const found: string[] = [];
    let matches = 0;
    for (const { name, text, oracle } of files) {
      const configuration = parse(text);
      if (configuration instanceof AtelierError) continue;
      const { localWorkspaceFolder, localEnv, containerEnv } = oracle.inputs;
      const localFolder = localWorkspaceFolder;
      const configurationFile = `${localFolder}/.devcontainer/devcontainer.json`;
      const id = devContainerId({ configurationFile, localFolder }, (labels) =>
        createHash('sha256').update(labels).digest(),
      );
      const local = { localWorkspaceFolder, localEnv };
      for (const [stage, context] of [
        ['noContainer', local],
        ['withContainer', { ...local, containerEnv, devContainerId: id }],
      ] as const) {
        const ours = substitute(configuration, context).configuration;
        const { configuration: whole, workspace } = oracle[stage].output!;
        const theirs = withoutIgnored(whole);
        for (const property of compared) {
          if (ours[property] === undefined && theirs[property] === undefined) continue;
          const same = JSON.stringify(sorted(ours[property])) === JSON.stringify(sorted(theirs[property]));
          if (same) matches += 1;
          else
            found.push(`${stage} ${name} ${property}: ${JSON.stringify([ours[property], theirs[property]])}`);
        }
        const { folder } = planWorkspace(ours, localWorkspaceFolder);
        if (folder === workspace.workspaceFolder) matches += 1;
        else found.push(`${stage} ${name} folder: ${folder} is not ${workspace.workspaceFolder}`);
      }
    }
    console.info(`devcontainer corpus: ${matches} values as the reference tool has them`);
    expect(found).toEqual([]);
    expect(matches).toBeGreaterThan(500);
  });

  test('every readable file gives an image, life-cycle steps, ports and a mount', () => {
    const kinds: Record<string, number> = {};
    let steps = 0;
    let mounts = 0;
    for (const { path, text, oracle } of files) {
      const parsed = parse(text);
      if (parsed instanceof AtelierError) continue;
      const { localWorkspaceFolder } = oracle.inputs;
      const { configuration } = substitute(parsed, { localWorkspaceFolder });
      const { kind } = planImage(configuration, path, localWorkspaceFolder);
      kinds[kind] = (kinds[kind] ?? 0) + 1;
      steps += planLifecycle(configuration, { firstStart: true }).steps.length;
      for (const port of planPorts(configuration).ports) expect(port).toBeGreaterThan(0);
      if (planWorkspace(configuration, localWorkspaceFolder).warnings.length === 0) mounts += 1;
    }
    console.info('devcontainer corpus:', { ...kinds, steps, mounts });
    expect(Object.keys(kinds).sort()).toEqual(['build', 'default', 'reference']);
    expect(steps).toBeGreaterThan(50);
  });
});

/** The reference tool's configuration without what has no effect with us. */
function withoutIgnored(configuration: Record<string, unknown>): Record<string, unknown> {
  const { build } = configuration;
  if (typeof build !== 'object') return configuration;
  const { cacheFrom: _cacheFrom, options: _options, ...acted } = build as Record<string, unknown>;
  return { ...configuration, build: acted };
}

/** The value with the keys of its objects in order, so that two can be compared as text. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, element]) => [key, sorted(element as unknown)]),
  );
}
