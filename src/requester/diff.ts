/** Lines of context around a difference. */
const CONTEXT = 3;
/** Above this many pairs of lines the middle is shown as replaced: nobody reads it, and it would hold up the loop. */
const MOST_PAIRS = 4_000_000;

type Edit = ' ' | '-' | '+';

/** Longest common subsequence of the lines between the common start and end. */
function middle(a: readonly string[], b: readonly string[]): [Edit, string][] {
  const removed = (lines: readonly string[]): [Edit, string][] => lines.map((line) => ['-', line]);
  const added = (lines: readonly string[]): [Edit, string][] => lines.map((line) => ['+', line]);
  if (a.length * b.length > MOST_PAIRS) return [...removed(a), ...added(b)];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        a[i] === b[j]
          ? (lengths[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
    }
  }
  const edits: [Edit, string][] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      edits.push([' ', a[i] ?? '']);
      i += 1;
      j += 1;
    } else if ((lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0)) {
      edits.push(['-', a[i] ?? '']);
      i += 1;
    } else {
      edits.push(['+', b[j] ?? '']);
      j += 1;
    }
  }
  return [...edits, ...removed(a.slice(i)), ...added(b.slice(j))];
}

function edits(a: readonly string[], b: readonly string[]): [Edit, string][] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const same = (lines: readonly string[]): [Edit, string][] => lines.map((line) => [' ', line]);
  return [
    ...same(a.slice(0, start)),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...same(a.slice(a.length - end)),
  ];
}

/** The difference of two values as people read it: their JSON, line by line, unified; "" when there is none. */
export function diffText(before: unknown, after: unknown): string {
  const all = edits(JSON.stringify(before, null, 2).split('\n'), JSON.stringify(after, null, 2).split('\n'));
  const near = new Set<number>();
  all.forEach(([edit], at) => {
    if (edit === ' ') return;
    for (let line = at - CONTEXT; line <= at + CONTEXT; line += 1) near.add(line);
  });
  const lines: string[] = [];
  all.forEach(([edit, line], at) => {
    if (near.has(at)) lines.push(`${edit} ${line}`);
    else if (near.has(at - 1) && at < all.length) lines.push('  ...');
  });
  while (lines.at(-1) === '  ...') lines.pop();
  return lines.join('\n');
}
