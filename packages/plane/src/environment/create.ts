/** Creating an environment: its name found, its row written. The request is answered here; a loop does the rest. */
import { AtelierError } from '@atelier/api';
import type { CreateEnvironmentRequest } from '@atelier/api/gitpod/environment';
import type { Row } from '@atelier/store';
import { newId, type PlaneContext } from '../context.ts';
import type { Principal } from '../identity/principal.ts';
import { defaultName, makeEnvironment } from './make.ts';

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
  const base = asked || defaultName(request.spec);
  for (let count = 1; count <= namesTriedMax; count += 1) {
    const name = count === 1 ? base : `${base}-${endingOf(plane, count)}`;
    try {
      return await write(plane, request, facts, name);
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

function endingOf({ random }: PlaneContext, count: number): string {
  if (count <= namesNumbered) return String(count);
  return Math.floor(random() * endingsMax)
    .toString(36)
    .padStart(4, '0');
}

function write(plane: PlaneContext, request: CreateEnvironmentRequest, facts: CreateFacts, name: string) {
  const id = newId(plane);
  const { owner, idempotencyKey } = facts;
  const made = { id, name, owner, nowMs: plane.clock.nowMs(), session: newId(plane) };
  return plane.store.create('environment', {
    id,
    organizationId: owner.organizationId,
    name: { owner: owner.id, text: name },
    idempotencyKey,
    value: makeEnvironment(request, made),
  });
}
