import { appendFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** What one test run came to, as `check-reporter` writes it: one JSON line. Names are full test names. */
export interface TestTotals {
  passed: number;
  failed: number;
  skipped: { name: string; reason: string }[];
}

/**
 * Vitest reporter that appends one line of {@link TestTotals} to the file named by `ATELIER_CHECK_TOTALS`. Vitest's own
 * JSON report leaves out why a test was skipped, and a reason is what makes a skip acceptable.
 */
export default class CheckReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const totals: TestTotals = { passed: 0, failed: 0, skipped: [] };
    for (const module of modules) addModule(totals, module);
    const path = process.env['ATELIER_CHECK_TOTALS'];
    if (path !== undefined) appendFileSync(path, `${JSON.stringify(totals)}\n`);
  }
}

// A file that does not load, or a failing beforeAll, has no failed test of its own: it counts as one.
function addModule(totals: TestTotals, module: TestModule): void {
  const failedBefore = totals.failed;
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === 'passed') totals.passed += 1;
    else if (result.state === 'failed') totals.failed += 1;
    else totals.skipped.push({ name: test.fullName, reason: reasonOf(result) });
  }
  if (module.state() === 'failed' && totals.failed === failedBefore) totals.failed += 1;
}

function reasonOf(result: { state: string; note?: string | undefined }): string {
  return result.note ?? (result.state === 'pending' ? 'did not run' : 'no reason given');
}
