import { type BenchRun, byBench, lessIsBetter, machineText, type NamedFigure } from './bench-run.ts';
import { digits } from './table.ts';

const WIDTH = 900;
const LABEL = 330;
const BAR = 18;
const GAP = 10;
const SPACE_FOR_VALUE = 150;

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --dim: #677285; --bar: #2f6fde; --limit: #c9d3e3; --back: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf2; --dim: #94a0b3; --bar: #6a9bf5; --limit: #3a4658; --back: #12171f; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: ${WIDTH + 40}px; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--back); }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .3rem; }
p, .note { color: var(--dim); margin: .2rem 0; }
table { border-collapse: collapse; margin-top: .6rem; width: 100%; } td, th { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top; }
td.figure { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; } th { color: var(--dim); font-weight: normal; }
svg { width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: var(--ink); } svg .dim { fill: var(--dim); }`;

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Figures of one unit as bars, each over what the machine can do at best. */
function plot(unit: string, figures: readonly NamedFigure[]): string {
  const most = Math.max(
    ...figures.flatMap(({ value, limit }) => [value, limit?.value ?? 0]),
    Number.MIN_VALUE,
  );
  const length = (value: number): string =>
    (Math.max(0, value / most) * (WIDTH - LABEL - SPACE_FOR_VALUE)).toFixed(1);
  const height = figures.length * (BAR + GAP);
  const rows = figures.map(({ what, value, limit }, index) => {
    const y = index * (BAR + GAP);
    const middle = y + BAR - 5;
    const end = Number(length(Math.max(value, limit?.value ?? 0)));
    const bars =
      (limit === undefined
        ? ''
        : `<rect x="${LABEL}" y="${y}" width="${length(limit.value)}" height="${BAR}" rx="3" fill="var(--limit)"/>`) +
      `<rect x="${LABEL}" y="${y + (limit === undefined ? 0 : 4)}" width="${length(value)}" height="${limit === undefined ? BAR : BAR - 8}" rx="3" fill="var(--bar)"/>`;
    return (
      `<text x="${LABEL - 10}" y="${middle}" text-anchor="end">${escaped(shortened(what, 48))}</text>${bars}` +
      `<text x="${LABEL + end + 8}" y="${middle}">${escaped(`${digits(value)} ${unit}`)}</text>`
    );
  });
  const better = lessIsBetter(unit) ? 'less is better' : 'more is better';
  const title = `${unit}, ${better}`;
  return `<figure style="margin:.8rem 0"><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">${rows.join('')}</svg><figcaption class="note">${escaped(title)}</figcaption></figure>`;
}

function row({ what, value, unit, limit, note = '' }: NamedFigure): string {
  const share = limit === undefined ? '' : `${((100 * value) / limit.value).toFixed(0)} %`;
  const best = limit === undefined ? '' : `${digits(limit.value)} ${unit} ${limit.what}`;
  const cells = [
    `<td>${escaped(what)}</td>`,
    `<td class="figure">${escaped(`${digits(value)} ${unit}`)}</td>`,
  ];
  return `<tr>${cells.join('')}<td class="figure">${share}</td><td>${escaped(best)}</td><td class="note">${escaped(note)}</td></tr>`;
}

function section(name: string, figures: readonly NamedFigure[]): string {
  const plots = [...Map.groupBy(figures, ({ unit }) => unit)].map(([unit, alike]) => plot(unit, alike));
  const table = `<table><tr><th></th><th></th><th>of the limit</th><th>limit</th><th></th></tr>${figures.map(row).join('')}</table>`;
  return `<h2>${escaped(name)}</h2>${plots.join('')}${table}`;
}

/** A run as one page that needs nothing else: figures as bars over their limits, and as tables. */
export function htmlReport(run: BenchRun): string {
  const { jobs, microMs, repetitions } = run.size;
  const sections = [...byBench(run.figures)].map(([name, figures]) => section(name, figures));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>bacalhau-node benchmarks, ${escaped(run.time)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>bacalhau-node benchmarks</h1>
<p>${escaped(run.time)} · ${escaped(machineText(run))} · --jobs ${jobs} --micro-ms ${microMs} --repetitions ${repetitions}</p>
<p>Pale bars are limits: what the machine does at best in the same run.</p>
${sections.join('\n')}
</body>
</html>
`;
}
