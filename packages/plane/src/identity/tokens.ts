/** Tokens: made once, shown once, kept as a hash. */
import { createHash, randomBytes } from 'node:crypto';
import { AtelierError, makeId, type Clock, type Random } from '@atelier/api';
import type { Store, TokenRecord } from '@atelier/store';
import type { Principal } from './principal.ts';

/** What {@link Tokens} needs. */
export interface TokensOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
}

/** Makes, checks and takes tokens. */
export interface Tokens {
  /** A new token for a subject; `lifetimeMs` 0 means that it never ends. */
  issue(owner: Principal, use: TokenRecord['use'], lifetimeMs: number): Promise<string>;
  /** Who comes with this text; `unauthenticated` when nobody. */
  authenticate(token: string): Promise<Principal>;
  /** Takes an exchange token, once, for an access token. */
  exchange(token: string): Promise<string>;
}

/** A runner's access token has no end: the runner is deleted instead. */
const runnerTokenLifetimeMs = 0;
const cacheEntriesMax = 1000;

/** Tokens on a store. Access tokens that were seen are remembered for a moment, by their hash. */
export function createTokens({ store, clock, random }: TokensOptions): Tokens {
  const known = new Map<string, { principal: Principal; expiresAtMs: number }>();

  async function find(token: string, use: TokenRecord['use']) {
    const sha256 = hash(token);
    const { rows } = await store.list('token', { attributes: { sha256: [sha256] } });
    const row = rows.find((candidate) => candidate.value.use === use);
    if (!row || isOver(row.value.expiresAtMs, clock)) return undefined;
    const principal = {
      kind: row.value.principal,
      id: row.value.subjectId,
      organizationId: row.organizationId,
    };
    return { row, principal };
  }

  async function issue(owner: Principal, use: TokenRecord['use'], lifetimeMs: number): Promise<string> {
    const token = `atelier_${use === 'exchange' ? 'exchange' : owner.kind}_${randomBytes(24).toString('base64url')}`;
    const nowMs = clock.nowMs();
    await store.create('token', {
      id: makeId(nowMs, random),
      organizationId: owner.organizationId,
      value: {
        sha256: hash(token),
        principal: owner.kind,
        subjectId: owner.id,
        use,
        expiresAtMs: lifetimeMs === 0 ? 0 : nowMs + lifetimeMs,
      },
    });
    return token;
  }

  return {
    issue,
    async authenticate(token) {
      const sha256 = hash(token);
      const cached = known.get(sha256);
      if (cached && !isOver(cached.expiresAtMs, clock)) return cached.principal;
      const found = await find(token, 'access');
      if (!found) throw new AtelierError('unauthenticated', 'the bearer token is not known here');
      if (known.size >= cacheEntriesMax) known.clear();
      known.set(sha256, { principal: found.principal, expiresAtMs: found.row.value.expiresAtMs });
      return found.principal;
    },
    async exchange(token) {
      const found = await find(token, 'exchange');
      if (!found || !(await store.delete('token', found.row.id))) {
        throw new AtelierError(
          'unauthenticated',
          'the exchange token was used already, has ended, or never was',
        );
      }
      return issue(found.principal, 'access', runnerTokenLifetimeMs);
    },
  };
}

function hash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function isOver(expiresAtMs: number, clock: Clock): boolean {
  return expiresAtMs !== 0 && expiresAtMs <= clock.nowMs();
}
