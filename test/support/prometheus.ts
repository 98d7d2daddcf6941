/** The samples of a Prometheus text: `name` or `name{label="value",…}` to its value. */
export function parsePrometheus(text: string): ReadonlyMap<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}

/** The sample of a metric with exactly these labels; 0 where there is none. */
export function sample(
  samples: ReadonlyMap<string, number>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  return labelled(samples, name).find(({ labels: found }) => isSame(found, labels))?.value ?? 0;
}

/** All samples of a metric, with their labels apart. */
export function labelled(
  samples: ReadonlyMap<string, number>,
  name: string,
): readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[] {
  const found: { labels: Record<string, string>; value: number }[] = [];
  for (const [key, value] of samples) {
    if (key !== name && !key.startsWith(`${name}{`)) continue;
    const labels: Record<string, string> = {};
    for (const [, label = '', text = ''] of key.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[label] = text;
    found.push({ labels, value });
  }
  return found;
}

function isSame(left: Readonly<Record<string, string>>, right: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
}
