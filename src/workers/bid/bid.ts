import type { Explanation } from '../../core/bids.ts';
import type { JobSpec } from '../../core/job.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { Storage } from '../../storages/storage.ts';
import { checkAsk } from '../checks/ask.ts';
import { isSelfContained } from '../checks/facts.ts';
import { BID, decideSlowly, explainAll, type Observer, type SlowOptions, slowOnes } from './decide.ts';
import { inputBytes } from './input-bytes.ts';
import { rememberLookUps } from './look-ups.ts';
import { createStrategies, type PolicyModules } from './policy.ts';
import type { CommandRunner } from './probes/exec.ts';
import type { BidInput, BidOptions, BidOutput, BidPolicy, Offer } from './protocol.ts';
import { countIn, decideSafely, outcomeOf, type ReadAsk, readAsk, withDisk, withRead } from './quick.ts';
import type { PlatformLookup } from './strategies/image-platform.ts';
import type { AskedJob, Strategy } from './strategy.ts';
import { BidTally } from './tally.ts';

/** Time for all look-ups of one job together, unless a probe is given more. A requester waits for the answer. */
const SLOW_DEADLINE_MS = 5_000;
/** A probe's own time limit speaks first: it knows what to say. */
const PROBE_MARGIN_MS = 1_000;
/** Sizes only sharpen the request: no bid waits long for them. */
const SIZE_DEADLINE_MS = 1_000;

export interface BidModules {
  /** Storages by lower-case type; called with the first job that needs one. */
  readonly storages: () => Promise<ReadonlyMap<string, Storage>>;
  /** Runs exec probes; called with the first. */
  readonly runner: () => CommandRunner;
  /** Called with the first Docker job. */
  readonly platforms: () => Promise<PlatformLookup>;
}

/** Of the one that is decided on; its signal is made for who asks for it. */
export interface BidContext {
  readonly signal: AbortSignal;
}

const decoder = new TextDecoder();

/** Decides which jobs this node offers to run. Holds no reservation: the spine makes it when the answer is yes. */
export class Bidder {
  readonly #options: BidOptions;
  readonly #modules: PolicyModules;
  readonly #observe: Observer;
  #strategies: readonly Strategy[];
  #slowDeadlineMs: number;
  #offer: Offer | undefined;

  constructor(options: BidOptions, modules: BidModules) {
    const tally = new BidTally(options.tally);
    this.#options = options;
    this.#modules = {
      tally,
      runner: modules.runner,
      platforms: modules.platforms,
      find: finder(modules.storages),
    };
    this.#observe = countIn(tally);
    this.#strategies = createStrategies(options, this.#modules);
    this.#slowDeadlineMs = slowDeadlineMs(options);
  }

  /** What is installed and answering from now on. */
  setOffer(offer: Offer): void {
    this.#offer = offer;
  }

  /** What bids that begin from now on are decided by. */
  setPolicy(policy: BidPolicy): void {
    this.#strategies = createStrategies({ ...this.#options, ...policy }, this.#modules);
    this.#slowDeadlineMs = slowDeadlineMs(policy);
  }

  /** Never rejects: what goes wrong is a rejection with the reason. */
  async bid({ asked, spec, explain }: BidInput, context: BidContext): Promise<Outcome<BidOutput>> {
    const isKnown = 'engine' in asked;
    const read = readAsk(() =>
      isKnown ? { header: asked, spec: parse(spec) } : checkAsk(asked, spec, this.#options.defaultResources),
    );
    if ('kind' in read) return read;
    const outcome = await this.#decide(read, explain, context);
    return isKnown ? outcome : withRead(outcome, read.header);
  }

  async #decide(
    { header, spec, facts }: ReadAsk,
    isExplained: boolean,
    context: BidContext,
  ): Promise<Outcome<BidOutput>> {
    const offer = this.#offer;
    if (offer === undefined) {
      const reason = 'this node does not know yet what it can run';
      return { kind: 'reject', final: false, code: 'busy', reason };
    }
    const strategies = this.#strategies;
    const job: AskedJob = { header, facts, spec, resources: header.resources, offer };
    if (isExplained) return this.#explain(strategies, job, this.#slow(context.signal));
    const decision = decideSafely(strategies, job, this.#observe);
    if (decision.kind === 'reject') return decision;
    if (!isSelfContained(facts) || slowOnes(strategies, job).length > 0) {
      return this.#bidSlowly(strategies, job, this.#slow(context.signal));
    }
    const [, , , bytes] = facts;
    return outcomeOf(strategies, job, { decision: BID, bytes });
  }

  #slow(signal: AbortSignal): SlowOptions {
    return { signal, deadlineMs: this.#slowDeadlineMs, observe: this.#observe };
  }

  async #bidSlowly(
    strategies: readonly Strategy[],
    job: AskedJob,
    slow: SlowOptions,
  ): Promise<Outcome<BidOutput>> {
    const { signal } = slow;
    const [decision, bytes] = await Promise.all([
      decideSlowly(slowOnes(strategies, job), job, slow),
      this.#bytes(job, signal),
    ]);
    if (signal.aborted) return { kind: 'cancelled', reason: 'the ask was withdrawn' };
    return outcomeOf(strategies, job, { decision, bytes });
  }

  async #explain(
    strategies: readonly Strategy[],
    job: AskedJob,
    slow: SlowOptions,
  ): Promise<Outcome<BidOutput>> {
    const raised = withDisk(job, await this.#bytes(job, slow.signal));
    const { decision, strategies: reports } = await explainAll(strategies, raised, slow);
    const explanation: Explanation = {
      decision: decision.kind,
      code: decision.kind === 'reject' ? decision.code : '',
      final: decision.kind === 'reject' && decision.final,
      reason: decision.kind === 'bid' ? '' : decision.reason,
      strategies: reports,
    };
    return { kind: 'advance', value: { resources: raised.resources, explanation } };
  }

  #bytes({ spec }: AskedJob, signal: AbortSignal): Promise<number> {
    return inputBytes(spec.Tasks[0].InputSources ?? [], this.#modules.find, signal, SIZE_DEADLINE_MS);
  }
}

/** Storages by type, each with what it has found lately. */
function finder(storages: BidModules['storages']): PolicyModules['find'] {
  const remembering = new Map<string, Storage>();
  return async (type) => {
    const known = remembering.get(type);
    if (known !== undefined) return known;
    const storage = (await storages()).get(type);
    if (storage === undefined) return undefined;
    const made = remembering.get(type) ?? rememberLookUps(storage);
    remembering.set(type, made);
    return made;
  };
}

function slowDeadlineMs({ probeExec, probeHttp, probeTimeoutMs }: BidPolicy): number {
  const hasProbe = probeExec !== '' || probeHttp !== '';
  return hasProbe ? Math.max(SLOW_DEADLINE_MS, probeTimeoutMs + PROBE_MARGIN_MS) : SLOW_DEADLINE_MS;
}

/** Of a spec that is known to be one. */
function parse(spec: Uint8Array): JobSpec {
  return JSON.parse(decoder.decode(spec)) as JobSpec;
}
