import { serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import { Admission } from './admit.ts';
import type { AdmitInput, AdmitOptions, AdmitOutput } from './protocol.ts';

/** Thread of the admit pool. */
const run: (batch: WorkBatch<AdmitInput>) => Promise<unknown> = serve<AdmitInput, AdmitOutput>((options) => {
  const admission = new Admission(options as AdmitOptions);
  return {
    handle: async (input, { signal }) => {
      if (input.kind === 'place' && signal.aborted) {
        return { kind: 'cancelled', reason: 'cancelled before it was placed' };
      }
      return { kind: 'advance', value: await admission.handle(input) };
    },
  };
});

export default run;
