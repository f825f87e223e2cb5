/** The rows of `bad-input.container.test.ts`: what is given, and what a person is told. */

const noEnvironment = '"atelier ls" shows those that there are';
const grammar = '(atelier help shows how it is meant)';
const longName = 'x'.repeat(81);

/** Words behind `atelier`, the exit code, and what is said; with environments `spoilt`, `slow-host` and more. */
export const commandRows: [given: string[], code: number, said: string][] = [
  [['nonsense'], 2, `error: unknown command 'nonsense'\n${grammar}`],
  [['up', '--nmae', 'x'], 2, `error: unknown option '--nmae'\n(Did you mean --name?)\n${grammar}`],
  [
    ['up', '-o', 'yaml'],
    2,
    `error: option '-o, --output <format>' argument 'yaml' is invalid. Allowed choices are table, json.\n${grammar}`,
  ],
  [
    ['up', 'nowhere'],
    5,
    'atelier: <folder>/nowhere does not exist; give a folder or the URL of a repository',
  ],
  [
    ['up', 'spoilt/a.txt'],
    2,
    'atelier: <folder>/spoilt/a.txt is not a folder; give a folder or the URL of a repository',
  ],
  [
    ['up', 'ftp://example.test/x'],
    2,
    'atelier: "ftp://example.test/x" is not a repository: give an https, ssh or file URL',
  ],
  [['up', 'https://me:secret@exa mple.test/x'], 2, 'atelier: "https://exa mple.test/x" is not a URL'],
  [
    ['up', '--class', 'Gone', 'spoilt'],
    5,
    'atelier: there is no environment class "Gone"; there are: Large, Regular, Small',
  ],
  [
    ['up', '--name', '', 'spoilt'],
    2,
    `error: option '--name <name>' argument '' is invalid. A name does not begin with ".", "/" or a space, and is not empty.\n${grammar}`,
  ],
  [
    ['up', '--name', '../x', 'spoilt'],
    2,
    `error: option '--name <name>' argument '../x' is invalid. A name does not begin with ".", "/" or a space, and is not empty.\n${grammar}`,
  ],
  [
    ['up', '--name', 'a\u001b[31m\nb', 'spoilt'],
    2,
    'atelier: "a\\u001b[31m\\nb" cannot name an environment: it has characters that do not print',
  ],
  [['up', '--name', longName, 'spoilt'], 2, 'atelier: name: must be at most 80 characters'],
  [['exec', 'nobody', '--', 'true'], 255, `atelier: there is no environment "nobody"; ${noEnvironment}`],
  [
    ['exec', 'slow', '--', 'true'],
    255,
    'atelier: there is no environment "slow"; did you mean slow-host, slow-image or slow-silence?',
  ],
  [['exec', '/', '--', 'true'], 255, 'atelier: there is no environment for /'],
  [['exec', 'spoilt', '--', '/no/such'], 127, 'atelier: /no/such is not there.'],
  [
    ['exec', 'spoilt', '--', 'nothing-like-it'],
    127,
    'atelier: nothing-like-it was not found in PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin).',
  ],
  [['exec', 'spoilt', '--', '/etc/passwd'], 126, 'atelier: /etc/passwd is not an executable file.'],
  [['exec', 'spoilt', '--', ''], 127, 'atelier: The name of the program is empty.'],
  [['exec', 'spoilt', '--', 'sh', '-c', 'kill -9 $$'], 137, ''],
  [['exec'], 255, `error: missing required argument 'environment'\n${grammar}`],
  [['logs', 'nobody'], 5, `atelier: there is no environment "nobody"; ${noEnvironment}`],
  [
    ['logs', 'spoilt', 'nothing'],
    5,
    'atelier: nothing here is called "nothing"; there are: steps disk, network, content, configuration, image, root, instance, supervisor',
  ],
  [['task', 'start', 'spoilt', 'x'], 5, 'atelier: there is no task "x"; this environment has no tasks'],
  [
    ['service', 'restart', 'spoilt', 'x'],
    5,
    'atelier: there is no service "x"; this environment has no services',
  ],
  [['delete', 'nobody'], 5, `atelier: there is no environment "nobody"; ${noEnvironment}`],
  [
    ['forward', 'spoilt', '70000'],
    2,
    'atelier: "70000" is no port: write 8080, or 8080:9090 for local port 9090',
  ],
  [
    ['forward', 'spoilt', '8080:web'],
    2,
    'atelier: "8080:web" is no port: write 8080, or 8080:9090 for local port 9090',
  ],
  [
    ['daemon', 'start', '--port', '65536'],
    2,
    `error: option '--port <port>' argument '65536' is invalid. A port is 0 to 65535.\n${grammar}`,
  ],
  [
    ['daemon', 'start', '--driver', 'podman'],
    2,
    `error: option '--driver <driver>' argument 'podman' is invalid. Allowed choices are oci, simulated.\n${grammar}`,
  ],
];

const starting = 'the daemon is not running: starting it';
const another = 'Set ATELIER_HOME to another folder.';

/** `ATELIER_HOME`, in the test's folder when it is relative, the exit code of `up`, and what is said. */
export const homeRows: [home: string, code: number, said: string][] = [
  [
    'file',
    7,
    `${starting}\natelier: the home <folder>/file cannot be used: there is a file of that name. ${another}`,
  ],
  [
    'file/below',
    7,
    `${starting}\natelier: the home <folder>/file/below cannot be used: a part of the path is a file. ${another}`,
  ],
  [
    '/proc/atelier',
    7,
    `${starting}\natelier: the home /proc/atelier cannot be used: no folder can be made there. ${another}`,
  ],
  [
    'new\nline',
    7,
    `${starting}\natelier: the home <folder>/new\\nline cannot be used: its path has a control character. ${another}`,
  ],
  [
    'y'.repeat(300),
    7,
    `${starting}\natelier: the home <folder>/${'y'.repeat(300)} cannot be used: its path is too long. ${another}`,
  ],
  [
    'closed/home',
    7,
    `${starting}\natelier: <folder>/closed/home/postgres cannot be used: <folder>/closed lets no other user pass, and PostgreSQL does not run as root; choose another ATELIER_HOME, such as /var/lib/atelier`,
  ],
];

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
    ['nothing at all', ': > devcontainer.json', 'recovery', `${path} is empty. Write at least {} into it.`],
    [
      'an image that is a number',
      json({ image: 7 }),
      'recovery',
      `${path}:2:12: image must be the name of an image, not the number 7. Correct the value.`,
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
    ['a Dockerfile that is not there', json({ build: { dockerfile: 'Nowhere' } }), 'recovery', 'TODO'],
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
      'TODO',
    ],
    [
      'a build that fails, with the end of its output',
      `${dockerfile(base, 'RUN echo so far so good && echo alas >&2 && exit 4')}\n${json({ build: { dockerfile: 'Dockerfile' } })}`,
      'recovery',
      'TODO',
    ],
    ['an image that does not exist', json({ image: 'localhost/no/such:image' }), 'recovery', 'TODO'],
    [
      'a link to a file of the machine',
      'ln -s /etc/passwd devcontainer.json',
      'recovery',
      `${path}:1:1: this is not JSON: texts stand in double quotes, other values are numbers, true, false, null (at "root").`,
    ],
    ['a link to nothing', 'ln -s /nowhere devcontainer.json', 'recovery', noFile],
    ['a pipe', 'mkfifo devcontainer.json', 'recovery', noFile],
    ['a folder', 'mkdir devcontainer.json', 'recovery', noFile],
    [
      'a file without end',
      'truncate -s 100M devcontainer.json',
      'recovery',
      `${path} cannot be used: it is far too large. Make it shorter.`,
    ],
    [
      'UTF-16',
      `printf '\\377\\376{\\0}\\0' > devcontainer.json`,
      'recovery',
      `${path} is not UTF-8 text. Save it in that encoding.`,
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
    failed(`${file}:2:6: tasks.a has no command. Add it.`),
  ],
  [
    'a place to run that is not supported',
    yaml('tasks:', '  a: { name: A, command: x, runsOn: { docker: { image: i } } }'),
    0,
    'TODO',
  ],
  ['a file that is too large', 'truncate -s 2M automations.yaml', 7, 'TODO'],
  ['a pipe', 'mkfifo automations.yaml', 7, 'TODO'],
  ['a folder', 'mkdir automations.yaml', 7, 'TODO'],
  ['a link to nothing', 'ln -s /nowhere automations.yaml', 7, 'TODO'],
  ['a link to a file of the machine', 'ln -s /etc/shadow automations.yaml', 7, 'TODO'],
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
    'TODO',
  ],
  ['and nothing in the end', ': > automations.yaml', 0, ''],
];

/** What `up` is given, and what is said. */
export const remoteRows: [what: string, source: string, said: string][] = [
  ['a folder that is not there', 'file://<folder>/nowhere', 'TODO'],
  ['no repository at a URL', 'http://<remote>/none.git', 'TODO'],
  ['a repository that needs a credential', 'http://<remote>/private/tool.git', 'TODO'],
  ['an ssh remote without a key', 'root@<remote>:tool.git', 'TODO'],
];

/** What may stand in `daemon.json` after an accident. */
export const damagedRecords = ['', 'null', '{ "pid": 1, "startTi', '{}'];
