/** Programs of the host: in the root folder, with none of this process's variables. */
import { AtelierError } from '@atelier/api';
import { makeStarter, type StartedProcess } from '@atelier/posix';
import koffi from 'koffi';

const start = makeStarter(koffi);
const absent = 2;

const variables = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
};

/**
 * Starts a program. With `outputFile` both of its outputs go to that open file. Errors: `failed_precondition` when
 * the program is not there, `internal` when the kernel refuses.
 */
export function startProgram(program: string, words: readonly string[], outputFile?: number): StartedProcess {
  const started = start({ program, words, variables, folder: '/', outputFile });
  if (!('errno' in started)) return started;
  if (started.errno === absent) {
    const message = `${program} cannot be started: install it, or see the doctor command`;
    throw new AtelierError('failed_precondition', message);
  }
  throw new AtelierError(
    'internal',
    `${program} cannot be started: the kernel answered with errno ${started.errno}`,
  );
}
