import { WasmEngine } from '../../engines/wasm/engine.ts';
import { serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import type { ExecuteOptions, ExecuteReport, WasmInput, WasmOutput } from './protocol.ts';
import { buildRunRequest, hasFiles } from './run-request.ts';

const FREE = 0;
const CLAIMED = 1;

/** Thread of the WASM pool: one job at a time, each won by its claim word before anything is done for it. */
const worker: (batch: WorkBatch<WasmInput>) => Promise<void> = serve<WasmInput, WasmOutput, ExecuteReport>(
  (untyped) => {
    const options = untyped as ExecuteOptions;
    const engine = new WasmEngine();
    return {
      blocking: true,
      async handle(input, context) {
        if (Atomics.compareExchange(input.claim, 0, FREE, CLAIMED) !== FREE) {
          return { kind: 'advance', value: { kind: 'notStarted' } };
        }
        context.started();
        const request = buildRunRequest(input, input.inputs, options);
        const { signal } = context;
        const result = await engine.run(request, { signal, report: (report) => context.report(report) });
        return { kind: 'advance', value: { kind: 'finished', result, hasFiles: hasFiles(input) } };
      },
    };
  },
);

export default worker;
