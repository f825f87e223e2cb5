/** The text of a devcontainer.json, and everything that is computed of it before anything is done. */
import {
  containerEnvironment,
  parseConfiguration,
  planImage,
  planLifecycle,
  planPorts,
  planWorkspace,
  remoteEnvironment,
  resolveUsers,
  substitute,
  type DevContainerConfiguration,
} from '@atelier/devcontainer';
import { corpusTexts } from '../corpus.ts';
import type { Grammar } from '../mutate.ts';
import type { Target } from '../target.ts';
import { textTarget } from '../text-target.ts';

const own = ['.devcontainer/devcontainer.json', 'examples/guestbook/.devcontainer/devcontainer.json'];
const whole = `{
  // everything that has an effect
  "name": "a", "image": "debian:12", "workspaceFolder": "/work", "workspaceMount": "source=\${localWorkspaceFolder},target=/w,type=bind",
  "containerEnv": { "A": "\${localEnv:A:b}", "__proto__": "c" }, "remoteEnv": { "B": "\${containerEnv:A}x", "C": null },
  "containerUser": "root", "remoteUser": "dev", "forwardPorts": [80, "localhost:81", "db:5432"], "waitFor": "onCreateCommand",
  "build": { "dockerfile": "Dockerfile", "context": "..", "args": { "X": "\${devcontainerId}" }, "target": "t", "cacheFrom": ["a"] },
  "onCreateCommand": "a", "updateContentCommand": ["b", "c"], "postCreateCommand": { "one": "d", "two": ["e"] },
  "features": { "ghcr.io/devcontainers/features/node:1": { "version": "20" } }, "mounts": ["source=x,target=/x,type=volume"],
  "customizations": { "vscode": { "extensions": ["a.b"] } }, "portsAttributes": { "80": { "label": "web" } },
}`;
const tokens = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '"',
  '//',
  '/*',
  '*/',
  '\n',
  '\\',
  '\\u',
  '\\ud800',
  '\\u0000',
  '0',
  '-',
  '1e9',
  '"a":',
  '"a":{',
  '"a":[',
  '"x":1,',
  '"image":"a",',
  '"build":{',
  '"forwardPorts":[',
  '"postCreateCommand":{',
  '"containerEnv":{',
  '"A":"b",',
  '"__proto__":',
  '"constructor":',
  'true,',
  'null,',
  '"${localEnv:',
  '${',
  '}"',
  '"dockerFile":"../../x",',
  '"workspaceMount":"',
  'source=',
  ',target=',
  '"features":{',
  '"mounts":[',
] as [string, ...string[]];
const grammar: Grammar = { texts: corpusTexts('devcontainer', own), tokens, lengthMax: 513 * 1024 };

const path = '.devcontainer/devcontainer.json';
const folder = '/workspaces/app';

/** The target. */
export const devcontainer: Target = textTarget(grammar, whole, (text) => {
  const { configuration, warnings } = parseConfiguration(text, path);
  return [warnings, planned(configuration)];
});

function planned(written: DevContainerConfiguration): unknown {
  const first = substitute(written, { localWorkspaceFolder: folder, localEnv: { A: 'x' } });
  const container = containerEnvironment(first.configuration, { PATH: '/bin' });
  const { configuration } = substitute(written, { localWorkspaceFolder: folder, containerEnv: container });
  return [
    container,
    remoteEnvironment(configuration, container),
    planImage(first.configuration, path, folder),
    planLifecycle(configuration, { firstStart: true }),
    planPorts(configuration),
    planWorkspace(configuration, folder),
    resolveUsers(configuration, undefined),
    first.warnings,
  ];
}
