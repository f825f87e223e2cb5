/** Commands, homes and remotes that are wrong: rows of `bad-input.container.test.ts`, and what a person is told. */

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
    'atelier: "slow" could be slow-host (<id>), slow-image (<id>) or slow-silence (<id>); write more of it',
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
    ['daemon', 'start', '--database-url', 'nonsense'],
    2,
    `error: option '--database-url <url>' argument 'nonsense' is invalid. It looks like postgresql://user@host/database.\n${grammar}`,
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

/** What `up` is given, and what is said. */
export const remoteRows: [what: string, source: string, said: string][] = [
  [
    'a folder that is not there',
    'file://<folder>/nowhere',
    'environment nowhere failed: There is no folder <folder>/nowhere on this machine. Name one that exists.',
  ],
  [
    'no repository at a URL',
    'http://<remote>/none.git',
    "environment none failed: There is no git repository at http://<remote>/none.git. Correct the address.\nfatal: repository 'http://<remote>/none.git/' not found",
  ],
  [
    'a repository that needs a credential',
    'http://<remote>/private/private.git',
    "environment private failed: <remote> wants a credential for this repository, and none that it accepts was given. Add a credential for <remote>, or check that the repository exists.\nfatal: could not read Username for 'http://<remote>': terminal prompts disabled",
  ],
  [
    'an ssh remote without a key',
    'root@<remote>:keyless.git',
    [
      'environment keyless failed: <remote> wants an ssh key, and the user who runs Atelier has none in ~/.ssh that can be used. Make one without a passphrase (ssh-keygen -t ed25519) and add its public half at <remote>, or use an https URL with a token.',
      "Warning: Permanently added '<remote>' (ED25519) to the list of known hosts.",
      'root@<remote>: Permission denied (publickey).',
      'fatal: Could not read from remote repository.',
      'Please make sure you have the correct access rights',
      'and the repository exists.',
    ].join('\n'),
  ],
];

/** What may stand in `daemon.json` after an accident. */
export const damagedRecords = ['{ "pid": 1, "startTi', '{}'];
