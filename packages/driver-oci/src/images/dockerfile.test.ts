import { describe, expect, it } from 'vitest';
import { externalImages } from './dockerfile.ts';

const check = (text: string, images: string[], args: Record<string, string> = {}, target?: string): void =>
  expect(externalImages(text, args, target)).toEqual(images);

describe('the images that a Dockerfile takes from outside', () => {
  it('are those of FROM, each once, without stages and scratch', () => {
    check(
      'FROM debian:12 AS one\nFROM scratch\nFROM ONE as two\nFROM --platform=linux/amd64 debian:12\nFROM 0\n',
      ['debian:12'],
    );
  });

  it('are those of COPY and of mounts', () => {
    check(
      'from debian\nCOPY --chown=1:1 --from=busybox:1 /a /b\nCOPY --from=0 /a /b\nRUN --mount=type=bind,from=alpine,target=/x --mount=type=cache,target=/y true',
      ['debian', 'busybox:1', 'alpine'],
    );
  });

  it('have arguments put in, with their defaults and those of the build', () => {
    const text = 'ARG NAME=debian TAG\nARG FULL="$NAME:${TAG:-12}"\nFROM ${FULL}\n';
    check(text, ['debian:12']);
    check(text, ['ubuntu:24.04'], { NAME: 'ubuntu', TAG: '24.04' });
  });

  it('end with the target', () => {
    const text = 'FROM a AS one\nFROM b AS two\nFROM c\n';
    check(text, ['a'], {}, 'ONE');
    check(text, ['a', 'b'], {}, '1');
    check(text, ['a', 'b', 'c']);
  });

  it('are not in comments, continued commands or here-documents', () => {
    check('# FROM a\nFROM b\nRUN echo \\\n# comment\n\n  FROM c\nRUN <<EOF\nFROM d\nEOF\nFROM e\n', [
      'b',
      'e',
    ]);
    check('# escape=`\nFROM b\nRUN echo `\nFROM c\n', ['b']);
  });

  it('are given as they are when they are no references, so that they can be refused', () => {
    check('FROM dir:/etc\nFROM $UNKNOWN\n', ['dir:/etc', '']);
  });
});
