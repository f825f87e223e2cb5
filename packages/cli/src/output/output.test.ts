import { systemClock } from '@atelier/api/system';
import type { Clock } from '@atelier/api';
import { describe, expect, it } from 'vitest';
import { formatDuration } from './duration.ts';
import { Progress, type ProgressStep } from './progress.ts';
import { formatFacts, formatTable } from './table.ts';

describe('formatDuration', () => {
  it.each([
    [0, '0.0 s'],
    [449, '0.4 s'],
    [9_949, '9.9 s'],
    [9_960, '10 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [185_000, '3 min 5 s'],
    [3_600_000, '1 h'],
    [7_800_000, '2 h 10 min'],
    [273_600_000, '3 d 4 h'],
    [-5, '0.0 s'],
  ])('%d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));
});

describe('formatTable', () => {
  it('has columns as wide as their widest cell, and one line per row', () => {
    const table = formatTable(
      ['NAME', 'PHASE', 'WHY'],
      [
        ['guestbook', 'running', 'a\n  b'],
        ['x', 'stopped', ''],
      ],
    );
    expect(table).toBe('NAME       PHASE    WHY\nguestbook  running  a b\nx          stopped\n');
  });

  it('is its header when there is nothing', () => {
    expect(formatTable(['NAME', 'ID'], [])).toBe('NAME  ID\n');
  });
});

describe('formatFacts', () => {
  it('puts values below one another, those of several lines too', () => {
    expect(
      formatFacts([
        ['name', 'x'],
        ['warnings', 'one\ntwo'],
      ]),
    ).toBe('name      x\nwarnings  one\n          two\n');
  });
});

describe('Progress', () => {
  const clock: Clock = { nowMs: () => 10_000, timer: () => ({ cancel: () => undefined }) };
  const step = (
    label: string,
    state: ProgressStep['state'],
    extra: Partial<ProgressStep> = {},
  ): ProgressStep => ({
    key: label,
    label,
    state,
    startedAtMs: 9_000,
    message: '',
    ...(state !== 'running' && { tookMs: 500 }),
    ...extra,
  });

  function streamOf(isTTY: boolean) {
    let text = '';
    return { stream: { isTTY, columns: 60, write: (part: string) => (text += part) }, text: () => text };
  }

  it('prints each step once, when it has ended, on what is no terminal', () => {
    const { stream, text } = streamOf(false);
    const progress = new Progress(stream, clock);
    progress.update([step('image', 'running')]);
    progress.update([step('image', 'succeeded'), step('disk', 'running')]);
    progress.update([step('image', 'succeeded'), step('disk', 'failed', { message: 'is full\nand more' })]);
    progress.note('that is all');
    progress.end();
    expect(text()).toBe(
      [
        '✓ image                               0.5 s\n',
        '✗ disk                                0.5 s  is full\n',
        'that is all\n',
      ].join(''),
    );
  });

  it('shows on a terminal what runs, and takes it away again', () => {
    const { stream, text } = streamOf(true);
    const progress = new Progress(stream, clock);
    progress.update([step('image', 'running', { message: 'layer 3 of 7' })]);
    progress.update([step('image', 'succeeded')]);
    progress.end();
    expect(text()).toBe(
      '… image                               1.0 s  layer 3 of 7\n\u001b[1A\u001b[J✓ image                               0.5 s\n',
    );
  });

  it('prints a second attempt as a line of its own', () => {
    const { stream, text } = streamOf(false);
    const progress = new Progress(stream, systemClock);
    progress.update([step('clone', 'failed', { key: 'clone#1' })]);
    progress.update([step('clone (attempt 2)', 'succeeded', { key: 'clone#2' })]);
    expect(text().split('\n')).toHaveLength(3);
  });
});
