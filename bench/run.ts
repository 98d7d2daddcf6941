import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { admissionBench } from './micro/admission.bench.ts';
import { demuxBench } from './micro/demux.bench.ts';
import { ingestBench } from './micro/ingest.bench.ts';
import { ledgerBench } from './micro/ledger.bench.ts';
import { queueBench } from './micro/queue.bench.ts';
import { recordsBench } from './micro/records.bench.ts';
import { wasmBench } from './micro/wasm.bench.ts';
import { asksBench } from './node/asks.bench.ts';
import { bidBench } from './node/bid.bench.ts';
import { dockerBench } from './node/docker.bench.ts';
import { eventsBench } from './node/events.bench.ts';
import { footprintBench } from './node/footprint.bench.ts';
import { historyBench } from './node/history.bench.ts';
import { httpBench } from './node/http.bench.ts';
import { jobsBench, submitBench } from './node/jobs.bench.ts';
import { supervisionBench, waitingBench } from './node/many.bench.ts';
import { stageBench } from './node/stage.bench.ts';
import { wireBench } from './node/wire.bench.ts';
import type { Bench, BenchSize, Figure } from './support/bench.ts';
import { type BenchRun, machineText, type NamedFigure, readRun } from './support/bench-run.ts';
import { printComparison } from './support/compare.ts';
import { htmlReport } from './support/html.ts';
import { benchInNewerDebian } from './support/newer-debian.ts';
import { printFigures } from './support/table.ts';

const BENCHES: readonly Bench[] = [
  queueBench,
  ledgerBench,
  admissionBench,
  ingestBench,
  recordsBench,
  wasmBench,
  demuxBench,
  wireBench,
  bidBench,
  asksBench,
  httpBench,
  submitBench,
  jobsBench,
  stageBench,
  eventsBench,
  footprintBench,
  dockerBench,
  historyBench,
  supervisionBench,
  waitingBench,
];

const USAGE = `Usage: npm run bench -- [benchmark …] [--jobs N] [--micro-ms N] [--repetitions N] [--json FILE] [--html FILE] [--newer-debian]
       npm run bench -- --compare BEFORE.json AFTER.json

${BENCHES.map(({ name, doc }) => `  ${name.padEnd(12)} ${doc}`).join('\n')}
`;

function whole(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name} ${text}: expected a whole number`);
  return value;
}

/** Runs one benchmark; whatever it started has ended afterwards, and after an interrupt too. */
async function runOne(bench: Bench, size: BenchSize): Promise<readonly Figure[]> {
  const cleanUps: (() => unknown)[] = [];
  let cleaning: Promise<void> | undefined;
  const cleanAll = async (): Promise<void> => {
    for (const one of cleanUps.toReversed()) await one();
  };
  const cleanUp = (): Promise<void> => {
    cleaning ??= cleanAll();
    return cleaning;
  };
  const interrupted = (): void => void cleanUp().finally(() => process.exit(130));
  process.once('SIGINT', interrupted);
  try {
    return await bench.run(size, { after: (one) => void cleanUps.push(one) });
  } finally {
    process.removeListener('SIGINT', interrupted);
    await cleanUp();
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: '2000' },
    'micro-ms': { type: 'string', default: '300' },
    repetitions: { type: 'string', default: '200' },
    json: { type: 'string' },
    html: { type: 'string' },
    compare: { type: 'boolean', default: false },
    'newer-debian': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.compare) {
  const [before, after, ...more] = positionals;
  if (before === undefined || after === undefined || more.length > 0) {
    console.log(`--compare takes two files that --json has written\n\n${USAGE}`);
    process.exit(2);
  }
  printComparison(await readRun(before), await readRun(after));
  process.exit(0);
}
const unknown = positionals.filter((name) => !BENCHES.some((bench) => bench.name === name));
if (values.help || unknown.length > 0) {
  console.log(unknown.length > 0 ? `no benchmark ${unknown.join(', ')}\n\n${USAGE}` : USAGE);
  process.exit(values.help ? 0 : 2);
}
if (values['newer-debian']) {
  const { jobs, 'micro-ms': microMs, repetitions } = values;
  const files = { json: values.json, html: values.html };
  const written = Object.entries(files).flatMap(([name, file]) =>
    file === undefined ? [] : [[`--${name}`, resolve(file)] as const],
  );
  const sizes = ['--jobs', jobs, '--micro-ms', microMs, '--repetitions', repetitions];
  process.exit(
    await benchInNewerDebian(
      [...positionals, ...sizes, ...written.flat()],
      written.map(([, file]) => file),
    ),
  );
}
const size: BenchSize = {
  microMs: whole(values['micro-ms'], 'micro-ms'),
  jobs: whole(values.jobs, 'jobs'),
  repetitions: whole(values.repetitions, 'repetitions'),
};
const machine = {
  cpu: cpus()[0]?.model.trim() ?? '',
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  node: process.version,
};
console.log(`${machineText({ machine })}\n`);
const figures: NamedFigure[] = [];
for (const bench of BENCHES) {
  if (positionals.length === 0 ? bench.onlyByName : !positionals.includes(bench.name)) continue;
  const found = await runOne(bench, size);
  printFigures(`${bench.name}: ${bench.doc}`, found);
  figures.push(...found.map((figure) => ({ bench: bench.name, ...figure })));
}
const run: BenchRun = { time: new Date().toISOString(), machine, size, figures };
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(run, null, 2)}\n`);
if (values.html !== undefined) await writeFile(values.html, htmlReport(run));
