import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { NodeError } from '../../core/errors.ts';
import type { JobSpec } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';
import { RunSlot } from '../../core/run-slot.ts';
import type { PreparedInput } from '../../engines/engine.ts';
import { WasmEngine } from '../../engines/wasm/engine.ts';
import { inlineFile } from '../../storages/inline.ts';
import { serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import type { ExecuteOptions, ExecuteReport, WasmInput, WasmOutput } from './protocol.ts';
import { buildRunRequest, diskLimit, hasFiles, parseSpec } from './run-request.ts';

/** Thread of the WASM pool: one job at a time, each won by its slot before anything is done for it. */
const worker: (batch: WorkBatch<WasmInput>) => Promise<unknown> = serve<WasmInput, WasmOutput, ExecuteReport>(
  (untyped) => {
    const options = untyped as ExecuteOptions;
    const engine = new WasmEngine();
    return {
      blocking: true,
      async handle(input, context) {
        const slot = new RunSlot(input.slot);
        if (!slot.claim(threadId)) return { kind: 'advance', value: { kind: 'notStarted' } };
        try {
          const spec = parseSpec(input.spec);
          const inputs = input.header.fileless ? inlineFiles(input, spec, options) : input.inputs;
          const result = await engine.run(buildRunRequest(input, inputs, options, spec), {
            signal: context.signal,
            report: (report) => (report.kind === 'running' ? slot.markRunning() : context.report(report)),
            ...(input.header.fileless ? { live: slot } : {}),
          });
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

/** The inputs of a fileless job, which are all in its spec. @throws NodeError InputInvalid, InputTooLarge */
function inlineFiles(
  { header, placement }: WasmInput,
  spec: JobSpec,
  { maxResultBytes }: ExecuteOptions,
): PreparedInput[] {
  const limit = diskLimit(header, spec, maxResultBytes);
  let left = limit;
  return (spec.Tasks[0].InputSources ?? []).map((source, index) => {
    const input = inlineFile(source, join(placement.directory, 'inputs', String(index), 'content'));
    left -= input.content.length;
    if (left >= 0) return input;
    throw new NodeError(
      'InputTooLarge',
      `Tasks[0].InputSources: together they exceed ${formatBytes(limit)} (expected no more than the disk the job asks for)`,
    );
  });
}

export default worker;
