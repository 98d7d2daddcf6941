import { serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import { Ingest } from './ingest.ts';
import type { IngestInput, IngestOptions, IngestOutput } from './protocol.ts';

/** Thread of the ingest pool. What it throws becomes a `fail` outcome with the error's code. */
const run: (batch: WorkBatch<IngestInput>) => Promise<unknown> = serve<IngestInput, IngestOutput>(
  (options) => {
    const ingest = new Ingest(options as IngestOptions);
    return { handle: (input) => ({ kind: 'advance', value: ingest.handle(input) }) };
  },
);

export default run;
