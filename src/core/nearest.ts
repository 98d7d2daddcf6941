/** Farther than this is another word, not a typo. */
const FARTHEST_SLIP = 2;

/** Levenshtein distance of two texts, letter case ignored. */
function editDistance(left: string, right: string): number {
  const a = left.toLowerCase();
  const b = right.toLowerCase();
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The candidate closest to `text`, the first one where several are; undefined where there are none. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(text, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The candidate that is `wanted` but for a slip of the keyboard or its case; undefined when none is that close. */
export function nearlySame(wanted: string, candidates: readonly string[]): string | undefined {
  const close = candidates.filter((candidate) => Math.abs(candidate.length - wanted.length) <= FARTHEST_SLIP);
  const best = nearest(wanted, close);
  return best !== undefined && editDistance(wanted, best) <= FARTHEST_SLIP ? best : undefined;
}
