import { toErrorData } from '../../core/errors.ts';
import { type AskedExecution, type BidFacts, readSpec } from '../../core/headers.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { Outcome } from '../../core/outcome.ts';
import { type CheckedAsk, checkAsk } from '../checks/ask.ts';
import { bidFacts, isSelfContained } from '../checks/facts.ts';
import { BID, type Decision, decideQuickly, type Observer } from './decide.ts';
import type { BidOptions, BidOutput, BidPolicy, Offer } from './protocol.ts';
import { createRules } from './rules.ts';
import { hasImage } from './strategies/image-platform.ts';
import type { QuickJob, Strategy } from './strategy.ts';
import { BidTally, type VerdictName } from './tally.ts';

/** A longer spec is read on a bid thread: reading so much takes about as long as handling the message that brought it. */
const PEERS_SPEC_BYTES = 4096;

/**
 * Bids that need no look-up and no probe, on whatever thread asks: the very strategies of the bid threads, without the
 * hop to one, which costs more than they do.
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

  /** As above for a peer's job, which is checked first. Undefined also where there is much to read. */
  bidOfPeer(asked: AskedExecution, spec: Uint8Array): Outcome<BidOutput> | undefined {
    if (this.#offer === undefined || this.#isProbed || spec.length > PEERS_SPEC_BYTES) return undefined;
    const checked = readAsk(() => checkAsk(asked, spec, this.#options.defaultResources));
    if ('kind' in checked) return checked;
    if (!isSelfContained(checked.facts)) return undefined;
    const outcome = this.bid(checked.header, checked.facts);
    return outcome === undefined ? undefined : withRead(outcome, checked.header);
  }
}

/** A job that could be read, and what it is decided on. */
export interface ReadAsk extends CheckedAsk {
  readonly facts: BidFacts;
}

/** What `read` returns and the facts of it, or the refusal of what can not be read. */
export function readAsk(read: () => CheckedAsk): ReadAsk | Extract<Outcome<BidOutput>, { kind: 'reject' }> {
  try {
    const checked = read();
    return { ...checked, facts: bidFacts(checked.spec.Tasks[0]) };
  } catch (thrown) {
    return invalid(`this node can not read the job: ${toErrorData(thrown).message}`);
  }
}

/** The outcome with what was read in a peer's spec. */
export function withRead(outcome: Outcome<BidOutput>, header: ExecutionHeader): Outcome<BidOutput> {
  return 'value' in outcome ? { ...outcome, value: { ...outcome.value, read: readSpec(header) } } : outcome;
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

function invalid(reason: string): Extract<Outcome<BidOutput>, { kind: 'reject' }> {
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
