/** Guesses which name a misspelt one stands for. */

/** The known name with the fewest slips from `name`, when there are few enough to be one; case counts little. */
export function closestName(name: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(name.length / 4));
  let best: { name: string; slips: number } | undefined;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > limit) continue;
    const slips = slipsBetween(name.toLowerCase(), candidate.toLowerCase());
    if (slips <= limit && (!best || slips < best.slips)) best = { name: candidate, slips };
  }
  return best?.name;
}

/** Letters to add, drop, change, or swap with a neighbour to get from one word to the other. */
function slipsBetween(left: string, right: string): number {
  let older: number[] = [];
  let row = Array.from({ length: right.length + 1 }, (_unused, column) => column);
  for (let at = 1; at <= left.length; at += 1) {
    const next = [at];
    for (let column = 1; column <= right.length; column += 1) {
      const changed = left[at - 1] === right[column - 1] ? 0 : 1;
      let slips = Math.min(
        (row[column] ?? 0) + 1,
        (next[column - 1] ?? 0) + 1,
        (row[column - 1] ?? 0) + changed,
      );
      const swapped = left[at - 1] === right[column - 2] && left[at - 2] === right[column - 1];
      if (swapped && at > 1 && column > 1) slips = Math.min(slips, (older[column - 2] ?? 0) + 1);
      next.push(slips);
    }
    older = row;
    row = next;
  }
  return row[right.length] ?? 0;
}
