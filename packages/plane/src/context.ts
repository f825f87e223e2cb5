/** What handlers, controllers and the runner link share. */
import { makeId, type Clock, type Random } from '@atelier/api';
import type { Store } from '@atelier/store';

/** The parts of a running plane. */
export interface PlaneContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** Names this plane for runners: their ledgers belong to it. */
  readonly planeId: string;
  /** Signs access tokens: PKCS #8 PEM, and the public half as SPKI DER. */
  readonly signingKey: { readonly privatePem: string; readonly publicDer: Uint8Array };
  /** Says something to the log. */
  readonly log: (message: string, facts?: Record<string, unknown>) => void;
}

/** Makes a new id, which sorts by the time of its making. */
export function newId(context: Pick<PlaneContext, 'clock' | 'random'>): string {
  return makeId(context.clock.nowMs(), context.random);
}
