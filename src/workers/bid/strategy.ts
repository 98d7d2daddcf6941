import type { ExecutionHeader } from '../../core/item.ts';
import type { JobSpec, Resources } from '../../core/job.ts';
import type { RejectCode } from '../../core/outcome.ts';
import type { Offer } from './protocol.ts';

/** What is decided on. */
export interface AskedJob {
  readonly header: ExecutionHeader;
  readonly spec: JobSpec;
  /** The request; disk raised to the inputs' size once that is known. */
  readonly resources: Resources;
  /** What the node has to offer at this moment. */
  readonly offer: Offer;
}

/** A strategy's word on one job. */
export type Verdict =
  | { readonly kind: 'yes' }
  | {
      readonly kind: 'no';
      /** Without its beginning, "this node does not ". */
      readonly reason: string;
      /** True unless a later ask may be answered otherwise. Default true. */
      readonly final?: boolean;
      readonly requested?: string;
      readonly available?: string;
    }
  /** Somebody else decides, until `untilMs` (epoch). */
  | { readonly kind: 'wait'; readonly reason: string; readonly untilMs: number };

interface Named {
  /** Of the rejection, and its place in metrics. */
  readonly code: RejectCode;
}

/** A rule that is decided from memory. */
export interface QuickStrategy extends Named {
  readonly speed: 'quick';
  decide(job: AskedJob): Verdict;
}

/** A rule that has to look or ask somewhere. Runs only when all quick ones said yes, beside the other slow ones. */
export interface SlowStrategy extends Named {
  readonly speed: 'slow';
  /** May reject, and must end with the signal. */
  decide(job: AskedJob, signal: AbortSignal): Promise<Verdict>;
}

export type Strategy = QuickStrategy | SlowStrategy;

export const YES: Verdict = { kind: 'yes' };

export function no(reason: string): Verdict {
  return { kind: 'no', reason };
}
