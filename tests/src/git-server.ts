/**
 * A little server of git repositories over HTTP, for tests: run as a program with an address, a folder and a
 * credential (`user:password`), which everything below `/private/` needs; without one nothing there is given.
 * Below `/silent/` nothing is ever answered.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';

const [address = '', folder = '', credential = ''] = process.argv.slice(2);
const wanted = `Basic ${Buffer.from(credential).toString('base64')}`;

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://server.invalid');
  if (pathname.startsWith('/silent/')) return;
  const isWelcome = credential !== '' && request.headers.authorization === wanted;
  if (pathname.startsWith('/private/') && !isWelcome) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="repositories"' }).end();
    return;
  }
  const path = join(folder, normalize(pathname));
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile()) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': found.size });
  createReadStream(path).pipe(response);
});
server.listen(80, address, () => process.stdout.write('ready\n'));
