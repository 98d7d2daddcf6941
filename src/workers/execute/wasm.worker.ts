import { threadId } from 'node:worker_threads';
import { RunSlot } from '../../core/run-slot.ts';
import { WasmEngine } from '../../engines/wasm/engine.ts';
import { serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import { InlineFiles } from './inline-files.ts';
import type { ExecuteOptions, ExecuteReport, WasmInput, WasmOutput } from './protocol.ts';
import { buildRunRequest, hasFiles, parseSpec } from './run-request.ts';

/** Thread of the WASM pool: one job at a time, each won by its slot before anything is done for it. */
const worker: (batch: WorkBatch<WasmInput>) => Promise<unknown> = serve<WasmInput, WasmOutput, ExecuteReport>(
  (untyped) => {
    const options = untyped as ExecuteOptions;
    const engine = new WasmEngine();
    const files = new InlineFiles();
    return {
      blocking: true,
      async handle(input, context) {
        const slot = new RunSlot(input.slot);
        if (!slot.claim(threadId)) return { kind: 'advance', value: { kind: 'notStarted' } };
        try {
          const spec = parseSpec(input.spec);
          const request = buildRunRequest(input, input.inputs, options, spec);
          const inputs = input.header.fileless ? files.of(request) : input.inputs;
          const result = await engine.run(
            { ...request, inputs },
            {
              signal: context.signal,
              report: (report) => (report.kind === 'running' ? slot.markRunning() : context.report(report)),
              ...(input.header.fileless ? { live: slot } : {}),
            },
          );
          const value = { kind: 'finished', result, hasFiles: hasFiles(input) } as const;
          const isWhole = !result.StdoutTruncated && !result.StderrTruncated && result.ErrorMsg === '';
          if (!value.hasFiles && isWhole) {
            // One message a job is most of what a small one costs: the batch's end tells, or the slot if that is late.
            slot.finish(result.ExitCode);
            context.mayWait();
          }
          return { kind: 'advance', value };
        } finally {
          slot.end();
        }
      },
    };
  },
);

export default worker;
