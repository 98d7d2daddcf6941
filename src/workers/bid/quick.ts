import { toErrorData } from '../../core/errors.ts';
import type { BidFacts } from '../../core/headers.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { Outcome } from '../../core/outcome.ts';
import { BID, type Decision, decideQuickly, type Observer } from './decide.ts';
import type { BidOptions, BidOutput, BidPolicy, Offer } from './protocol.ts';
import { createRules } from './rules.ts';
import { hasImage } from './strategies/image-platform.ts';
import type { QuickJob, Strategy } from './strategy.ts';
import { BidTally, type VerdictName } from './tally.ts';

/**
 * Bids that need no look-up and no probe, on whatever thread asks: the very strategies of the bid threads, without the
 * hop to one, which costs more than they do. For jobs whose facts are known.
 */
export class QuickBids {
  readonly #options: BidOptions;
  readonly #observe: Observer;
  #strategies: readonly Strategy[] = [];
  #isProbed = false;
  #offer: Offer | undefined;

  constructor(options: BidOptions) {
    this.#options = options;
    this.#observe = countIn(new BidTally(options.tally));
    this.setPolicy(options);
  }

  /** What is installed and answering from now on. */
  setOffer(offer: Offer): void {
    this.#offer = offer;
  }

  /** What bids that begin from now on are decided by. */
  setPolicy(policy: BidPolicy): void {
    const { job, room } = createRules({ ...this.#options, ...policy });
    this.#strategies = [...job, ...room];
    this.#isProbed = policy.probeExec !== '' || policy.probeHttp !== '';
  }

  /** Undefined where a bid thread has to look or ask. */
  bid(header: ExecutionHeader, facts: BidFacts): Outcome<BidOutput> | undefined {
    const offer = this.#offer;
    if (offer === undefined || this.#isProbed || hasImage(header)) return undefined;
    const job: QuickJob = { header, facts, resources: header.resources, offer };
    const decision = decideSafely(this.#strategies, job, this.#observe);
    const [, , , bytes] = facts;
    return outcomeOf(this.#strategies, job, { decision, bytes });
  }
}

/** As `decideQuickly`: what goes wrong is a rejection with the reason. */
export function decideSafely(strategies: readonly Strategy[], job: QuickJob, observe?: Observer): Decision {
  try {
    return decideQuickly(strategies, job, observe);
  } catch (thrown) {
    return invalid(`this node does not accept the job: ${toErrorData(thrown).message}`);
  }
}

/** `bytes` is what the inputs take on disk, which may be more than a job may have, or more than there is. */
export function outcomeOf(
  strategies: readonly Strategy[],
  job: QuickJob,
  { decision, bytes }: { readonly decision: Decision; readonly bytes: number },
): Outcome<BidOutput> {
  if (decision.kind === 'reject') return decision;
  const raised = withDisk(job, bytes);
  const again: Decision = raised === job ? BID : decideQuickly(strategies, raised);
  if (again.kind === 'reject') return again;
  const value: BidOutput = { resources: raised.resources };
  return decision.kind === 'bid'
    ? { kind: 'advance', value }
    : { kind: 'wait', reason: decision.reason, value };
}

export function withDisk<Job extends QuickJob>(job: Job, bytes: number): Job {
  return bytes <= job.resources.disk ? job : { ...job, resources: { ...job.resources, disk: bytes } };
}

export function invalid(reason: string): Extract<Outcome<BidOutput>, { kind: 'reject' }> {
  return { kind: 'reject', final: true, code: 'invalid', reason };
}

/** Counts what strategies say. */
export function countIn(tally: BidTally): Observer {
  return (strategy, decision) => tally.said(strategy, verdictName(decision));
}

function verdictName(decision: Decision): VerdictName {
  switch (decision.kind) {
    case 'bid':
      return 'yes';
    case 'wait':
      return 'wait';
    case 'reject':
      return decision.final ? 'no' : 'not now';
  }
}
