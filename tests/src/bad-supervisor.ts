/** What poses as the supervisor from inside: the rows of `bad-input.container.test.ts` about its protocol. */
import { supervisorProtocolVersion } from '@atelier/api';

const disconnected = (why: string): string =>
  `The supervisor was disconnected because ${why}. Something inside the environment has replaced or changed it; restart the environment.`;

/**
 * What is said to the runner, and the warning that comes of it: a row for each layer of the protocol; what a status
 * may hold is in the tests of the runner's client. Bytes that never become a link leave no warning, so they go first.
 */
export const supervisorRows: [what: Mode, warning: string][] = [
  ['bytes of no protocol', ''],
  ['a message of gigabytes', disconnected('it sent a message that is too large')],
  ['a path as the name of a log', disconnected('it writes the log "service/../../x"')],
];

type Mode = 'bytes of no protocol' | 'a message of gigabytes' | 'a path as the name of a log';

/** Where {@link poseAsSupervisor} leaves a word when the runner has hung up. */
export const hungUpFile = '/tmp/hung-up';

/**
 * A shell script that takes the place of the supervisor from inside, as root there can: it stops the real one,
 * dials in its place and lets it go on once the runner has hung up.
 */
export function poseAsSupervisor(mode: Mode): string {
  return [
    `rm -f ${hungUpFile} /tmp/posing`,
    `cat > /tmp/pose.mjs <<'END'\n${program}\nEND`,
    // The supervisor's own Node: its loader, its libraries and the program are the first four words of its command.
    `node=$(tr '\\0' ' ' < /proc/2/cmdline | cut -d' ' -f1-4)`,
    `setsid $node /tmp/pose.mjs '${mode}' > /tmp/pose.log 2>&1 < /dev/null &`,
    // What a command leaves in its process group ends with it.
    'until test -e /tmp/posing; do sleep 0.1; done',
  ].join('\n');
}

const program = String.raw`
import { createServer } from 'node:http2';
import { connect } from 'node:net';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const [, , mode] = process.argv;
const supervisorPid = 2;
const text = (tag, value) => Buffer.concat([Buffer.from([tag, value.length]), Buffer.from(value)]);
const hello = Buffer.concat([Buffer.from([8, ${supervisorProtocolVersion}]), text(0x1a, 'boot-1')]);
const envelope = (length, data) => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, data]);
};
const endless = (stream, chunk) => {
  const pump = () => {
    while (!stream.destroyed && stream.write(chunk()));
  };
  stream.on('drain', pump).on('error', () => {});
  pump();
};
function answer(stream, headers) {
  stream.on('error', () => {});
  const method = headers[':path'].split('/').at(-1);
  if (method === 'Hello') {
    stream.respond({ ':status': 200, 'content-type': 'application/proto' });
    return stream.end(hello);
  }
  stream.respond({ ':status': 200, 'content-type': 'application/connect+proto' });
  if (method === 'WatchStatus' && mode === 'a message of gigabytes') {
    stream.write(envelope(0xffffffff, Buffer.alloc(0)));
    endless(stream, () => Buffer.alloc(1 << 20));
  }
  if (method === 'WatchLogs' && mode === 'a path as the name of a log') {
    const part = text(0x0a, 'service/../../x');
    stream.write(envelope(part.length, part));
  }
}

writeFileSync('/tmp/posing', '');
process.kill(supervisorPid, 'SIGSTOP');
const socket = connect('/run/atelier-link/supervisor.sock');
socket.on('error', () => {});
socket.on('close', () => {
  process.kill(supervisorPid, 'SIGCONT');
  writeFileSync('${hungUpFile}', mode);
  process.exit(0);
});
socket.on('connect', () => {
  if (mode === 'bytes of no protocol') return endless(socket, () => randomBytes(1 << 16));
  createServer().on('stream', answer).on('sessionError', () => {}).emit('connection', socket);
});
`.trim();
