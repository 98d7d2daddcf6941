import type { Submission } from '../../core/ports.ts';
import { serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import { Ingest } from './ingest.ts';
import { type CheckedRow, checkedRow, type IngestOptions } from './protocol.ts';

/** Thread of the ingest pool. What it throws becomes a `fail` outcome with the error's code. */
const run: (batch: WorkBatch<Submission>) => Promise<unknown> = serve<Submission, CheckedRow>((options) => {
  const ingest = new Ingest(options as IngestOptions);
  return { handle: (submission) => ({ kind: 'advance', value: checkedRow(ingest.handle(submission)) }) };
});

export default run;
