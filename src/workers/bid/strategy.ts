import type { BidFacts } from '../../core/headers.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { JobSpec, Resources } from '../../core/job.ts';
import type { RejectCode } from '../../core/outcome.ts';
import type { Offer, StrategyName } from './protocol.ts';

/** What is decided on from memory. */
export interface QuickJob {
  readonly header: ExecutionHeader;
  readonly facts: BidFacts;
  /** The request; disk raised to the inputs' size once that is known. */
  readonly resources: Resources;
  /** What the node has to offer at this moment. */
  readonly offer: Offer;
}

/** What is decided on by looking and asking, too. */
export interface AskedJob extends QuickJob {
  readonly spec: JobSpec;
}

/** A strategy's word on one job. */
export type Verdict =
  | { readonly kind: 'yes' }
  | {
      readonly kind: 'no';
      /** Without its beginning, "this node does not ", unless `verbatim`. */
      readonly reason: string;
      /** The reason is the whole of it: a probe's own words. */
      readonly verbatim?: true;
      /** True unless a later ask may be answered otherwise. Default true. */
      readonly final?: boolean;
      /** Instead of the strategy's own. */
      readonly code?: RejectCode;
      readonly requested?: string;
      readonly available?: string;
    }
  /** Somebody else decides, later. */
  | { readonly kind: 'wait'; readonly reason: string };

interface Named {
  /** Its name, and the code of its rejections. */
  readonly code: StrategyName;
}

/** A rule that is decided from memory. */
export interface QuickStrategy extends Named {
  readonly speed: 'quick';
  decide(job: QuickJob): Verdict;
}

/** A rule that has to look or ask somewhere. Runs only when all quick ones said yes, beside the other slow ones. */
export interface SlowStrategy extends Named {
  readonly speed: 'slow';
  /** False where it has nothing to look at: it says yes. */
  applies(job: AskedJob): boolean;
  /**
   * Takes what a run of it needs, before any slow one starts: gives the way to return it, or the word that puts
   * the job off.
   */
  readonly enter?: () => (() => void) | Verdict;
  /** May reject, and must end with the signal. */
  decide(job: AskedJob, signal: AbortSignal): Promise<Verdict>;
}

export type Strategy = QuickStrategy | SlowStrategy;

export const YES: Verdict = { kind: 'yes' };

export function no(reason: string): Verdict {
  return { kind: 'no', reason };
}
