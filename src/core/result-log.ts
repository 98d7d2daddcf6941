import type { RunCommandResult } from './job.ts';
import type { LogChunk } from './ports.ts';

/** The output of an execution that has ended, as far as its result kept it; says where it was cut. */
export function* resultLog(result: RunCommandResult): Generator<LogChunk> {
  const parts: readonly (readonly [LogChunk['stream'], string, boolean])[] = [
    ['stdout', result.Stdout, result.StdoutTruncated],
    ['stderr', result.stderr, result.StderrTruncated],
  ];
  for (const [stream, text, isCut] of parts) {
    if (text !== '') yield { stream, text };
    if (isCut) {
      yield { stream, text: `\n[${stream} is cut here: only its beginning was kept with the job]\n` };
    }
  }
}
