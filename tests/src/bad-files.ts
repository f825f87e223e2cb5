/** Files that are wrong: the rows of `bad-input.container.test.ts` about what stands in a repository. */

const json = (properties: object): string =>
  `cat > devcontainer.json <<'END'\n${JSON.stringify(properties, undefined, 2)}\nEND`;
const dockerfile = (...lines: string[]): string => `cat > Dockerfile <<'END'\n${lines.join('\n')}\nEND`;
const base = 'FROM localhost/atelier/base';
const path = '.devcontainer/devcontainer.json';
const noFile = `${path} cannot be used: it is no file, or a link that leads to none. Put a file there, or nothing.`;

/** A script in an empty `.devcontainer`, what comes of a rebuild, and what is said. */
export const configurationRows: [what: string, script: string, outcome: 'recovery' | 'runs', said: string][] =
  [
    [
      'a syntax error, with its place',
      `printf '{\\n  "image": "x",\\n  "name" "y"\\n}\\n' > devcontainer.json`,
      'recovery',
      `${path}:3:10: a ":" is expected here, between a property and its value (at "\\"y\\"").`,
    ],
    [
      'mounts that are no list',
      json({ mounts: 'type=bind' }),
      'recovery',
      `${path}:2:13: mounts must be a list of mounts, not the string "type=bind". Correct the value.`,
    ],
    [
      'a port out of range, and more that is wrong',
      json({ forwardPorts: [3000, 70000], remoteEnv: { A: 1 }, postCreateCommand: 7 }),
      'recovery',
      `${path}:4:5: forwardPorts[1] must be a port from 1 to 65535 or "host:port", not the number 70000. Correct the value (2 more of this kind in the file).`,
    ],
    [
      'a relative workspace folder',
      json({ workspaceFolder: 'src' }),
      'recovery',
      `${path}:2:22: workspaceFolder must be an absolute path, not the string "src". Correct the value.`,
    ],
    [
      'a workspace folder that is not there',
      json({ workspaceFolder: '/srv/not-there' }),
      'recovery',
      'The workspace folder /srv/not-there is not there. Correct workspaceFolder of the configuration; until then commands run in /. The repository is in /workspaces/spoilt.',
    ],
    [
      'a user who is not there',
      json({ remoteUser: 'nobody-here' }),
      'recovery',
      'There is no user "nobody-here" in /etc/passwd of the image. Correct remoteUser or containerUser of the configuration, or add the user to the image; until then commands run as root.',
    ],
    [
      'image and build, an unknown property and one that has no effect',
      `${dockerfile(base)}\n${json({ image: 'localhost/no/such', build: { dockerfile: 'Dockerfile' }, remoteUsr: 'x', mounts: ['type=bind,source=/etc,target=/host'] })}`,
      'runs',
      [
        'remoteUsr is not a known property and has no effect; did you mean remoteUser?',
        'mounts are not supported yet and are not made.',
        'image has no effect, because the image is built from Dockerfile.',
      ].join('\n'),
    ],
    [
      'a Dockerfile that is not there',
      json({ build: { dockerfile: 'Nowhere' } }),
      'recovery',
      'there is no Dockerfile at .devcontainer/Nowhere in the workspace',
    ],
    [
      'a Dockerfile out of the repository',
      json({ build: { dockerfile: '../../x/Dockerfile' } }),
      'recovery',
      `${path}: build.dockerfile "../../x/Dockerfile" leaves the repository. Builds see the repository only: name a path in it, relative to the folder of ${path}.`,
    ],
    [
      'a context that is not there',
      `${dockerfile(base)}\n${json({ build: { dockerfile: 'Dockerfile', context: '../gone' } })}`,
      'recovery',
      'the build context gone is not there, or is reached by a link that leaves the workspace',
    ],
    [
      'a Dockerfile with a syntax error',
      `${dockerfile(base, 'RUNN true')}\n${json({ build: { dockerfile: 'Dockerfile' } })}`,
      'recovery',
      [
        'building .devcontainer/Dockerfile of environment <id> failed: its last lines say why',
        'STEP 1/2: FROM localhost/atelier/base',
        'STEP 2/2: RUNN true',
        'Error: building at STEP "RUNN ": Build error: Unknown instruction: "RUNN"',
      ].join('\n'),
    ],
    [
      'a build that fails, with the end of its output',
      `${dockerfile(base, 'RUN echo so far so good && exit 4')}\n${json({ build: { dockerfile: 'Dockerfile' } })}`,
      'recovery',
      [
        'building .devcontainer/Dockerfile of environment <id> failed: its last lines say why',
        'STEP 1/2: FROM localhost/atelier/base',
        'STEP 2/2: RUN echo so far so good && exit 4',
        'so far so good',
        'Error: building at STEP "RUN echo so far so good && exit 4": while running runtime: exit status 4',
      ].join('\n'),
    ],
    [
      'a link to a file of the machine',
      'ln -s /etc/passwd devcontainer.json',
      'recovery',
      `${path}:1:1: this is not JSON: texts stand in double quotes, other values are numbers, true, false, null (at "root").`,
    ],
    ['a link to nothing', 'ln -s /nowhere devcontainer.json', 'recovery', noFile],
    ['a pipe', 'mkfifo devcontainer.json', 'recovery', noFile],
    [
      'a file without end',
      'truncate -s 100M devcontainer.json',
      'recovery',
      `${path} cannot be used: it is far too large. Make it shorter.`,
    ],
    [
      'a name in Latin 1',
      `printf '{ "name": "caf\\351" }' > devcontainer.json`,
      'runs',
      'the file is not UTF-8 throughout: what cannot be read stands as \uFFFD.',
    ],
  ];

const yaml = (...lines: string[]): string => `cat > automations.yaml <<'END'\n${lines.join('\n')}\nEND`;
const failed = (why: string): string => `environment spoilt runs, but its automations do not: ${why}`;
const file = '.gitpod/automations.yaml';

/** A script in an empty `.gitpod`, the exit code of `up`, and what is said. */
export const automationRows: [what: string, script: string, code: number, said: string][] = [
  [
    'what is not YAML',
    yaml('tasks:', '  a:', '    name: A', '   command: x'),
    7,
    failed(`${file}:4:1: this is not YAML: All mapping items must start at the same column.`),
  ],
  [
    'a key twice',
    yaml('tasks:', '  a: { name: A, command: x }', '  a: { name: B, command: y }'),
    7,
    failed(`${file}:3:3: the key "a" is given twice. Keep one.`),
  ],
  [
    'an unknown key',
    yaml('version: 1', 'tasks: {}'),
    7,
    failed(`${file}:1:1: unknown key "version" at the top. Known here: services, tasks.`),
  ],
  [
    'a trigger that there is not',
    yaml('tasks:', '  a: { name: A, command: x, triggeredBy: [onStart] }'),
    7,
    failed(
      `${file}:2:43: tasks.a.triggeredBy[0] must be one of manual, postEnvironmentStart, postDevcontainerStart, prebuild, not the string "onStart".`,
    ),
  ],
  [
    'tasks in a circle',
    yaml(
      'tasks:',
      '  a: { name: A, command: x, dependsOn: [b] }',
      '  b: { name: B, command: x, dependsOn: [a] }',
    ),
    7,
    failed(
      `${file}:3:41: tasks.b.dependsOn[0] closes a cycle: a -> b -> a. Remove one of these dependencies.`,
    ),
  ],
  [
    'a dependency that there is not',
    yaml('tasks:', '  a: { name: A, command: x, dependsOn: [b] }'),
    7,
    failed(
      `${file}:2:41: tasks.a.dependsOn[0] names "b", but the file has no such task or service. Correct or remove it.`,
    ),
  ],
  [
    'a task without a command',
    yaml('tasks:', '  a: { name: A }'),
    7,
    failed(`${file}:2:3: tasks.a has no command. Add it.`),
  ],
  [
    'a place to run that is not supported',
    yaml('tasks:', '  a: { name: A, command: x, runsOn: { docker: { image: i } } }'),
    0,
    'tasks.a.runsOn.docker is not supported yet: the commands run in the environment itself.',
  ],
  [
    'a file that is too large',
    'truncate -s 2M automations.yaml',
    7,
    failed(`${file} cannot be used: it is far too large. Make it shorter.`),
  ],
  [
    'a pipe',
    'mkfifo automations.yaml',
    7,
    failed(`${file} cannot be used: it is no file. Put a file there, or nothing.`),
  ],
  [
    'a folder',
    'mkdir automations.yaml',
    7,
    failed(`${file} cannot be used: it is no file. Put a file there, or nothing.`),
  ],
  [
    'a link to nothing',
    'ln -s /nowhere automations.yaml',
    7,
    failed(`${file} cannot be used: it is a link that leads to no file. Put a file there, or nothing.`),
  ],
  [
    'a link to a file of the machine',
    'ln -s /etc/shadow automations.yaml',
    7,
    failed(`${file} cannot be used: it is a link out of the repository.`),
  ],
  [
    'a service that fails',
    yaml(
      'services:',
      '  web:',
      '    name: Web',
      '    commands: { start: exit 3 }',
      '    triggeredBy: [postEnvironmentStart]',
    ),
    7,
    'environment spoilt runs, but service web failed: its start command exited with code 3\n  atelier logs spoilt web',
  ],
  ['and nothing in the end', ': > automations.yaml', 0, ''],
];
