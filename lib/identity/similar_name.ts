/** What somebody probably meant who mistyped a name. Pure. */

/** How many slips are forgiven; never more than half of the name. */
const MAX_SLIPS = 2;

/**
 * Returns the one of `names` that is nearest to `typed` by letters added, left out, exchanged or swapped with
 * their neighbour; undefined where none is near. Case does not count.
 */
export function nearestName<Name extends string>(
  typed: string,
  names: readonly Name[],
): Name | undefined {
  const wanted = typed.toLowerCase();
  let best: Name | undefined;
  let fewest = Math.min(MAX_SLIPS, Math.floor(wanted.length / 2)) + 1;
  for (const name of names) {
    if (Math.abs(name.length - wanted.length) >= fewest) continue;
    const slips = slipsBetween(wanted, name.toLowerCase());
    if (slips < fewest) [best, fewest] = [name, slips];
  }
  return best;
}

/** The Damerau-Levenshtein distance in its restricted form: no part is changed twice. */
function slipsBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchanged = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, exchanged);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
