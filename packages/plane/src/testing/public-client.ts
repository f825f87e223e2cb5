/** The public client, unmodified, as a program of somebody else's starts it. */
import Gitpod from '@gitpod/sdk';
import { vi } from 'vitest';

/** A client of the plane at `url`: it takes its address and its token from two environment variables. */
export function publicClient(url: string, token: string): Gitpod {
  vi.stubEnv('GITPOD_BASE_URL', `${url}/api`);
  vi.stubEnv('GITPOD_API_KEY', token);
  try {
    return new Gitpod();
  } finally {
    vi.unstubAllEnvs();
  }
}
