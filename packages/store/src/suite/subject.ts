/** What the contract suite of the store works on. */
import { AtelierError, makeId, type ErrorCode } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { EnvironmentSchema, type Environment } from '@atelier/api/gitpod/environment';
import { ServiceSchema } from '@atelier/api/gitpod/environment_automation';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'vitest';
import type { NewRow, Row, Store } from '../store.ts';

/** An empty store that a case has for itself. */
export interface StoreSubject {
  readonly store: Store;
  /** Another store on the same rows, as another replica has it. Closed by `close` too. */
  reopen?(): Promise<Store>;
  /** Closes every store and removes what was made for it. */
  close(): Promise<void>;
}

/** Makes an empty store. */
export type StoreFactory = () => Promise<StoreSubject>;

/** An organization for the rows of the cases. */
export const organizationId = '01900000-0000-7000-8000-00000000000a';

/** Makes a new id, for a row that was created at `nowMs`. */
export function freshId(nowMs: number = systemClock.nowMs()): string {
  return makeId(nowMs, systemRandom);
}

/** A new environment's row, not written yet. */
export function newEnvironment(
  facts: MessageInitShape<typeof EnvironmentSchema> = {},
  row: Partial<NewRow<'environment'>> = {},
): NewRow<'environment'> {
  const id = row.id ?? freshId();
  return { organizationId, value: create(EnvironmentSchema, { id, ...facts }), ...row, id };
}

/** Writes an environment. */
export function makeEnvironment(
  store: Store,
  facts: MessageInitShape<typeof EnvironmentSchema> = {},
  row: Partial<NewRow<'environment'>> = {},
): Promise<Row<'environment'>> {
  return store.create('environment', newEnvironment(facts, row));
}

/** Writes a service that belongs to an environment. */
export function makeService(store: Store, environmentId: string): Promise<Row<'service'>> {
  const id = freshId();
  return store.create('service', {
    id,
    organizationId,
    environmentId,
    value: create(ServiceSchema, { id, environmentId }),
  });
}

/** Gives an environment another name, as a change function of an update. */
export function renamed(name: string): (environment: Environment) => Environment {
  return ({ id }) => create(EnvironmentSchema, { id, metadata: { name } });
}

/** Counts one on in the version of the spec. */
export function counted(environment: Environment): Environment {
  const specVersion = (environment.spec?.specVersion ?? 0n) + 1n;
  return create(EnvironmentSchema, { id: environment.id, spec: { specVersion } });
}

/** The call must be refused with this code. */
export async function expectCode(call: Promise<unknown>, code: ErrorCode): Promise<AtelierError> {
  const thrown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(AtelierError);
  expect((thrown as AtelierError).code).toBe(code);
  return thrown as AtelierError;
}
