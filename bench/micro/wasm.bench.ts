import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WasmEngine } from '../../src/engines/wasm/engine.ts';
import { helloModule } from '../../test/support/jobs.ts';
import { wasmRequest } from '../../test/support/wasm-run.ts';
import { bareWasm } from '../support/bare-wasm.ts';
import type { Bench } from '../support/bench.ts';
import { measure } from '../support/micro.ts';

const COUNT = 10;
const BARE_COUNT = 100;

/** What a WASM thread does for one execution. */
export const wasmBench: Bench = {
  name: 'wasm',
  doc: 'the WASM engine with a module that prints one line',
  run: async (size, scope) => {
    const module = await helloModule();
    const request = await wasmRequest(scope, { module });
    const engine = new WasmEngine();
    const context = { signal: new AbortController().signal, report: () => undefined };
    const bare = bareWasm(module);
    let folders = 0;
    const newFolder = (): string => {
      folders += 1;
      const folder = join(request.placement.directory, String(folders));
      mkdirSync(folder);
      return folder;
    };
    return measure(
      [
        {
          what: 'run, with its results in a new folder',
          per: COUNT,
          run: async () => {
            for (let round = 0; round < COUNT; round += 1) {
              await engine.run({ ...request, resultsDirectory: newFolder() }, context);
            }
          },
          limit: {
            what: 'the folder and its 3 files alone',
            per: COUNT,
            run: () => {
              for (let round = 0; round < COUNT; round += 1) {
                const folder = newFolder();
                for (const name of ['stdout', 'stderr', 'exitCode']) writeFileSync(join(folder, name), 'x');
              }
            },
          },
        },
        {
          what: 'bare instantiate + run',
          per: BARE_COUNT,
          run: () => {
            for (let round = 0; round < BARE_COUNT; round += 1) bare();
          },
        },
      ],
      size,
    );
  },
};
