import { parentPort, workerData } from 'node:worker_threads';
import { bareWasm } from './bare-wasm.ts';

/** Instantiates and runs a module again and again for some time; tells how often a second. */
const { module, milliseconds } = workerData as { module: Uint8Array; milliseconds: number };
const run = bareWasm(module);
const LOOP = 100;
for (let warm = 0; warm < LOOP; warm += 1) run();
const started = performance.now();
let count = 0;
while (performance.now() - started < milliseconds) {
  for (let round = 0; round < LOOP; round += 1) run();
  count += LOOP;
}
parentPort?.postMessage((count * 1000) / (performance.now() - started));
