/** Creating an environment: its name found, its row written. The request is answered here; a loop does the rest. */
import { AtelierError } from '@atelier/api';
import type { CreateEnvironmentRequest } from '@atelier/api/gitpod/environment';
import type { Row } from '@atelier/store';
import { newId, type PlaneContext } from '../context.ts';
import type { Principal } from '../identity/principal.ts';
import { sealCredential } from './credential.ts';
import { takeCredential } from './initializer.ts';
import { defaultName, makeEnvironment, type MakeFacts } from './make.ts';

/** Who creates, and the key that makes a repetition harmless. */
export interface CreateFacts {
  readonly owner: Principal;
  readonly idempotencyKey?: string | undefined;
}

/** A default name is numbered so often; whoever has more of a kind gets an arbitrary ending, at once. */
const namesNumbered = 3;
const namesTriedMax = 10;
const endingsMax = 36 ** 4;

/** Writes the environment. A name that was asked for must be free; a default one is numbered until it is. */
export async function createEnvironment(
  plane: PlaneContext,
  request: CreateEnvironmentRequest,
  facts: CreateFacts,
): Promise<Row<'environment'>> {
  const asked = request.name?.trim();
  requirePrintable(asked ?? '');
  const base = asked || defaultName(request.spec);
  const id = newId(plane);
  const sealedCredentials = await sealedFor(plane, request, facts.owner, id);
  for (let count = 1; count <= namesTriedMax; count += 1) {
    const name = count === 1 ? base : `${base}-${endingOf(plane, count)}`;
    try {
      return await write(plane, request, facts, { id, name, sealedCredentials });
    } catch (error) {
      const taken = error instanceof AtelierError && error.code === 'already_exists';
      if (!taken) throw error;
      if (asked) {
        throw new AtelierError(
          'already_exists',
          `you have an environment called ${JSON.stringify(name)} already`,
          {
            cause: error,
          },
        );
      }
    }
  }
  throw new AtelierError(
    'resource_exhausted',
    `no free name like ${base}-2 was found; choose one with --name`,
  );
}

/** `invalid_argument` for a name with line ends, escapes and the like: other people's terminals show it. */
export function requirePrintable(name: string): void {
  if (!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(name)) return;
  throw new AtelierError(
    'invalid_argument',
    `${JSON.stringify(name)} cannot name an environment: it has characters that do not print`,
  );
}

function endingOf({ random }: PlaneContext, count: number): string {
  if (count <= namesNumbered) return String(count);
  return Math.floor(random() * endingsMax)
    .toString(36)
    .padStart(4, '0');
}

/** The credential in the repository's URL, for each runner that could take the environment. */
function sealedFor(plane: PlaneContext, { spec }: CreateEnvironmentRequest, owner: Principal, id: string) {
  const initializer = spec?.content?.initializer;
  return sealCredential(plane, initializer && takeCredential(initializer).credential, {
    environmentId: id,
    organizationId: owner.organizationId,
    classId: spec?.machine?.class ?? '',
    runnerId: '',
  });
}

function write(
  plane: PlaneContext,
  request: CreateEnvironmentRequest,
  { owner, idempotencyKey }: CreateFacts,
  { id, name, sealedCredentials }: Pick<MakeFacts, 'id' | 'name' | 'sealedCredentials'>,
): Promise<Row<'environment'>> {
  const session = newId(plane);
  const made = { id, name, owner, nowMs: plane.clock.nowMs(), session, sealedCredentials };
  return plane.store.create('environment', {
    id,
    organizationId: owner.organizationId,
    name: { owner: owner.id, text: name },
    idempotencyKey,
    value: makeEnvironment(request, made),
  });
}
