import { join } from 'node:path';
import {
  EnvironmentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
} from '@atelier/api/gitpod/environment';
import { beforeAll, expect, it } from 'vitest';
import { describeAtelier } from './atelier.ts';
import { devcontainer, makeRepository } from './repository.ts';

/** Exit code of `up` for an environment that does not run as it should. */
const failedPrecondition = 7;

describeAtelier('devcontainer basics', (atelier) => {
  const up = async (name: string, files: Readonly<Record<string, string>>) => {
    const folder = makeRepository(join(atelier().folder, name), files);
    return atelier().run('up', folder);
  };

  it('builds with arguments and a target, and has every basic construct', async () => {
    const { code, stdout, stderr } = await up('whole', {
      '.devcontainer/Dockerfile': [
        'ARG BASE=localhost/atelier/base',
        'FROM ${BASE} AS dev',
        'ARG FLAVOUR=plain',
        'ENV FLAVOUR=$FLAVOUR LAYERED=image',
        'COPY motto.txt /etc/motto.txt',
        'RUN id -u > /built-as && mkdir /cache && chown atelier: /cache',
        'FROM dev AS never',
        'RUN false',
      ].join('\n'),
      'motto.txt': 'from the context\n',
      '.devcontainer/devcontainer.json': `// comments are fine
        {
          "build": { "dockerfile": "Dockerfile", "context": "..", "target": "dev", "args": { "FLAVOUR": "sweet" } },
          "remoteUser": "atelier",
          "workspaceFolder": "/workspaces/whole",
          "containerEnv": { "LAYERED": "\${localEnv:NO_SUCH_NAME:container}", "HERE": "\${containerWorkspaceFolder}" },
          "remoteEnv": { "SEEN": "\${containerEnv:LAYERED}:\${localWorkspaceFolderBasename}", "FLAVOUR": null },
          "forwardPorts": [4567],
          "hostRequirements": { "cpus": 2 },
          "postCreateComand": "true",
          "initializeCommand": ["sh", "-c", "id -u > initialized; echo $FLAVOUR >> initialized"],
          "onCreateCommand": "echo text $0 > /cache/text",
          "updateContentCommand": ["sh", "-c", "echo list $1 > /cache/list", "x", "*"],
          "postCreateCommand": { "one": "id -un > /cache/one", "two": ["touch", "/cache/two"] },
          "postStartCommand": "echo started >> /cache/starts",
        }`,
    });
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(
      /^warnings +hostRequirements are not supported yet: the environment class decides\.$/m,
    );
    expect(stdout).toContain(
      'postCreateComand is not a known property and has no effect; did you mean postCreateCommand?',
    );
    const said = await atelier().inside(
      'whole',
      'id -un; pwd; cat /built-as /etc/motto.txt initialized /cache/text /cache/list /cache/one /cache/starts; ls /cache; echo "$FLAVOUR|$LAYERED|$HERE|$SEEN"; tr "\\0" "\\n" < /proc/1/environ | grep ^FLAVOUR',
    );
    expect(said.split('\n')).toEqual([
      'atelier',
      '/workspaces/whole',
      '0',
      'from the context',
      // In a throw-away instance of the base image, which knows nothing of the container's variables.
      '0',
      '',
      'text /bin/sh',
      'list *',
      'atelier',
      'started',
      'list',
      'one',
      'starts',
      'text',
      'two',
      '|container|/workspaces/whole|container:whole',
      'FLAVOUR=sweet',
    ]);
    const { status } = await atelier().status('whole');
    expect(status?.devcontainer).toMatchObject({ phase: DevContainerPhase.RUNNING, remoteUser: 'atelier' });
  });

  it('takes an image by its local name, and the default without any configuration', async () => {
    const named = await up('named', devcontainer({ image: 'localhost/atelier/base', remoteUser: 'root' }));
    expect(named.code, named.stderr).toBe(0);
    expect(await atelier().inside('named', 'id -u; . /etc/os-release; echo $ID')).toBe('0\ndebian');
  });

  it('is in recovery for a life-cycle command that fails, and is mended by a rebuild', async () => {
    const { code, stdout, stderr } = await up('faulty', {
      ...devcontainer({
        onCreateCommand: 'touch /before',
        postCreateCommand: 'echo no luck >&2; exit 3',
        waitFor: 'postCreateCommand',
      }),
    });
    expect(code).toBe(failedPrecondition);
    expect(stdout).toMatch(/^phase +running \(recovery\)$/m);
    expect(stderr).toContain(
      'environment faulty runs in recovery: postCreateCommand failed with exit code 3.',
    );
    expect(stderr).toContain('atelier up --rebuild --name faulty');
    expect(await atelier().ok('logs', 'faulty', 'postCreateCommand')).toContain('no luck');
    const { status } = await atelier().status('faulty');
    expect(status).toMatchObject({ phase: EnvironmentPhase.RUNNING, failureMessage: [] });
    expect(status?.devcontainer?.phase).toBe(DevContainerPhase.FAILED);
    await atelier().inside(
      'faulty',
      "sed -i 's/exit 3/true/' .devcontainer/devcontainer.json; echo draft > draft.txt",
    );
    const mended = await atelier().run('up', '--rebuild', join(atelier().folder, 'faulty'));
    expect(mended.code, mended.stderr).toBe(0);
    expect(mended.stderr).toContain('rebuilding environment faulty');
    expect(await atelier().inside('faulty', 'cat draft.txt; ls /before')).toBe('draft\n/before');
  });

  /** One environment whose configuration is spoilt in many ways from inside, and mended at the end. */
  const spoilt: [what: string, files: Record<string, string>, message: RegExp][] = [
    [
      'a build that fails',
      {
        Dockerfile: 'FROM localhost/atelier/base\nRUN echo so sorry && exit 4\n',
        '.devcontainer/devcontainer.json': '{ "build": { "dockerfile": "../Dockerfile" } }',
      },
      /runs in recovery: .*(RUN|step|build).*4/is,
    ],
    [
      'a Dockerfile that is not there',
      { '.devcontainer/devcontainer.json': '{ "build": { "dockerfile": "Nowhere" } }' },
      /runs in recovery: .*\.devcontainer\/Nowhere/s,
    ],
    [
      'a target that is not there',
      {
        Dockerfile: 'FROM localhost/atelier/base AS here\n',
        '.devcontainer/devcontainer.json': '{ "build": { "dockerfile": "../Dockerfile", "target": "gone" } }',
      },
      /runs in recovery: .*gone/s,
    ],
    [
      'an image that does not exist',
      { '.devcontainer/devcontainer.json': '{ "image": "localhost/no/such:image" }' },
      /runs in recovery: .*localhost\/no\/such:image/s,
    ],
    [
      'an image name that is none',
      { '.devcontainer/devcontainer.json': '{ "image": "--privileged" }' },
      /runs in recovery: .*--privileged/s,
    ],
    [
      'JSON that ends too early',
      { '.devcontainer/devcontainer.json': '{\n  "image": "localhost/atelier/base"\n' },
      /runs in recovery: \.devcontainer\/devcontainer\.json:3:1: an object is not closed; add the missing "}"/,
    ],
    [
      'a user who does not exist',
      { '.devcontainer/devcontainer.json': '{ "remoteUser": "nobody-here" }' },
      /runs in recovery: .*nobody-here/s,
    ],
    [
      'an initializeCommand that fails',
      { '.devcontainer/devcontainer.json': '{ "initializeCommand": "echo not so; exit 5" }' },
      /runs in recovery: initializeCommand failed with exit code 5: not so/,
    ],
    [
      'a path out of the repository',
      { '.devcontainer/devcontainer.json': '{ "build": { "dockerfile": "../../etc/passwd" } }' },
      /runs in recovery: .*leaves the repository/,
    ],
  ];

  beforeAll(async () => {
    expect((await up('spoilt', devcontainer({}))).code).toBe(0);
  });

  it.each(spoilt)('is in recovery for %s', async (_what, files, message) => {
    for (const [path, text] of Object.entries(files)) {
      const { ended } = atelier().begin(['exec', 'spoilt', '--', 'sh', '-c', `cat > ${path}`], {
        input: text,
      });
      expect((await ended).code).toBe(0);
    }
    const { code, stderr } = await atelier().run(
      'up',
      '--rebuild',
      '--name',
      'spoilt',
      join(atelier().folder, 'spoilt'),
    );
    expect(stderr).toMatch(message);
    expect(code).toBe(failedPrecondition);
    const { status } = await atelier().status('spoilt');
    expect(status).toMatchObject({ phase: EnvironmentPhase.RUNNING, failureMessage: [] });
    expect(status?.devcontainer?.phase).toBe(DevContainerPhase.FAILED);
    // Somebody can go in and mend it.
    expect(await atelier().inside('spoilt', 'pwd')).toBe('/workspaces/spoilt');
  });

  it('comes out of recovery when its configuration is mended', async () => {
    await atelier().inside('spoilt', 'echo "{}" > .devcontainer/devcontainer.json');
    const { code, stdout, stderr } = await atelier().run(
      'up',
      '--rebuild',
      '--name',
      'spoilt',
      join(atelier().folder, 'spoilt'),
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^phase +running$/m);
  });
});
