/** Runs over files that others wrote, when they are there; none of their content is kept here. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { AtelierError } from '@atelier/api';
import { TaskSpecSchema } from '@atelier/api/gitpod/environment_automation';
import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test } from 'vitest';
import { parseAutomationsFile, taskDependencies } from './file.ts';
import { planExecution } from './plan.ts';

const root = process.env['ATELIER_CORPUS'] ?? resolve(import.meta.dirname, '../../../../shared/corpus');
const present = existsSync(`${root}/index.json`);

interface CorpusFile {
  file: string;
  kind: string;
  tags: string[];
}

describe('corpus of automations files', () => {
  beforeEach(({ skip }) => skip(!present, 'no corpus: set ATELIER_CORPUS to its folder'));

  const index = present ? (JSON.parse(readFileSync(`${root}/index.json`, 'utf8')) as CorpusFile[]) : [];
  const files = index.filter((entry) => entry.kind === 'automations');

  function outcome(entry: CorpusFile): string {
    try {
      parseAutomationsFile(readFileSync(`${root}/${entry.file}`, 'utf8'), 'automations.yaml');
      return 'accepted';
    } catch (error) {
      if (!(error instanceof AtelierError)) throw error;
      expect(error.code).toBe('invalid_argument');
      expect(error.message).toMatch(/^automations\.yaml:\d+:\d+: \S/);
      return 'refused';
    }
  }

  test('files are refused exactly when their tags say that they are invalid', () => {
    const surprises: Record<string, string> = {};
    for (const entry of files) {
      const invalid = entry.tags.includes('schema-invalid') || entry.tags.includes('malformed');
      const expected = invalid ? 'refused' : 'accepted';
      const actual = outcome(entry);
      if (actual !== expected) surprises[entry.file] = `${actual}, but tagged as ${expected}`;
    }
    console.info(
      `automations corpus: ${files.length - Object.keys(surprises).length} of ${files.length} as tagged`,
    );
    expect(files.length).toBeGreaterThan(50);
    expect(surprises).toEqual({});
  });

  test('every task of every accepted file can be planned', () => {
    let plans = 0;
    for (const entry of files.filter((candidate) => outcome(candidate) === 'accepted')) {
      const { file } = parseAutomationsFile(
        readFileSync(`${root}/${entry.file}`, 'utf8'),
        'automations.yaml',
      );
      const services = Object.entries(file.services).map(([id, { name, dependsOn }]) => ({
        id: `service ${id}`,
        label: name,
        dependsOn: dependsOn.map((dependency) => `service ${dependency}`),
      }));
      const tasks = Object.entries(file.tasks).map(([id, { name, command }]) => {
        const dependencies = taskDependencies(file, id);
        const dependsOn = [...dependencies.tasks, ...dependencies.services.map((key) => `service ${key}`)];
        return { id, label: name, spec: create(TaskSpecSchema, { command }), dependsOn };
      });
      for (const { id, dependsOn } of tasks) {
        const groups = planExecution(id, tasks, services);
        expect(groups.length).toBeGreaterThan(dependsOn.length > 0 ? 1 : 0);
        plans += 1;
      }
    }
    console.info(`automations corpus: ${plans} tasks planned`);
    expect(plans).toBeGreaterThan(50);
  });
});
