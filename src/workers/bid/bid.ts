import type { Explanation } from '../../core/bids.ts';
import { toErrorData } from '../../core/errors.ts';
import { readSpec } from '../../core/headers.ts';
import type { JobSpec } from '../../core/job.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { Storage } from '../../storages/storage.ts';
import { type CheckedAsk, checkAsk } from '../checks/ask.ts';
import {
  BID,
  type Decision,
  decideQuickly,
  decideSlowly,
  explainAll,
  type Observer,
  type SlowOptions,
  slowOnes,
} from './decide.ts';
import { inlineBytes, inputBytes, isInline } from './input-bytes.ts';
import { rememberLookUps } from './look-ups.ts';
import { createStrategies, type PolicyModules } from './policy.ts';
import type { CommandRunner } from './probes/exec.ts';
import type { BidInput, BidOptions, BidOutput, BidPolicy, Offer } from './protocol.ts';
import type { PlatformLookup } from './strategies/image-platform.ts';
import type { AskedJob, Strategy } from './strategy.ts';
import { BidTally } from './tally.ts';

/** Time for all look-ups of one job together, unless a probe is given more. A requester waits for the answer. */
const SLOW_DEADLINE_MS = 5_000;
/** A probe's own time limit speaks first: it knows what to say. */
const PROBE_MARGIN_MS = 1_000;
/** Sizes only sharpen the request: no bid waits long for them. */
const SIZE_DEADLINE_MS = 1_000;
/** A longer spec is read on a bid thread: reading so much costs about as much as handling the message that brought it. */
const QUICK_SPEC_BYTES = 4096;

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
  #hasProbe: boolean;
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
    this.#observe = (strategy, decision) => tally.said(strategy, verdictName(decision));
    this.#strategies = createStrategies(options, this.#modules);
    this.#slowDeadlineMs = slowDeadlineMs(options);
    this.#hasProbe = hasProbe(options);
  }

  /** What is installed and answering from now on. */
  setOffer(offer: Offer): void {
    this.#offer = offer;
  }

  /** What bids that begin from now on are decided by. */
  setPolicy(policy: BidPolicy): void {
    this.#strategies = createStrategies({ ...this.#options, ...policy }, this.#modules);
    this.#slowDeadlineMs = slowDeadlineMs(policy);
    this.#hasProbe = hasProbe(policy);
  }

  /** Never rejects: what goes wrong is a rejection with the reason. */
  async bid(input: BidInput, context: BidContext): Promise<Outcome<BidOutput>> {
    const job = this.#read(input);
    if ('kind' in job) return job;
    return withRead(input, job, await this.#decide(job, input.explain, context));
  }

  /** The same decision at once, on whatever thread asks; undefined where it may take long: then `bid` is for a bid thread. */
  bidQuickly(input: BidInput): Outcome<BidOutput> | undefined {
    const { asked, spec, explain } = input;
    if (explain || this.#hasProbe || spec.length > QUICK_SPEC_BYTES) return undefined;
    if ('engine' in asked && asked.engine === 'docker') return undefined;
    const job = this.#read(input);
    if ('kind' in job) return job;
    const strategies = this.#strategies;
    if (this.#isSlow(strategies, job)) return undefined;
    return withRead(input, job, this.#decideQuickly(strategies, job) ?? inlineOutcome(strategies, job));
  }

  /** The job that is decided on, or why none is. */
  #read({ asked, spec }: BidInput): AskedJob | Outcome<BidOutput> {
    let checked: CheckedAsk;
    try {
      checked =
        'engine' in asked
          ? { header: asked, spec: parse(spec) }
          : checkAsk(asked, spec, this.#options.defaultResources);
    } catch (thrown) {
      return invalid(`this node can not read the job: ${toErrorData(thrown).message}`);
    }
    const offer = this.#offer;
    if (offer === undefined) {
      const reason = 'this node does not know yet what it can run';
      return { kind: 'reject', final: false, code: 'busy', reason };
    }
    return { ...checked, resources: checked.header.resources, offer };
  }

  async #decide(job: AskedJob, isExplained: boolean, context: BidContext): Promise<Outcome<BidOutput>> {
    const strategies = this.#strategies;
    if (isExplained) {
      try {
        return await this.#explain(strategies, job, this.#slow(context.signal));
      } catch (thrown) {
        return unacceptable(thrown);
      }
    }
    const refusal = this.#decideQuickly(strategies, job);
    if (refusal !== undefined) return refusal;
    if (this.#isSlow(strategies, job)) return this.#bidSlowly(strategies, job, this.#slow(context.signal));
    return inlineOutcome(strategies, job);
  }

  /** A refusal from memory, where there is one. */
  #decideQuickly(strategies: readonly Strategy[], job: AskedJob): Outcome<BidOutput> | undefined {
    try {
      const decision = decideQuickly(strategies, job, this.#observe);
      return decision.kind === 'reject' ? decision : undefined;
    } catch (thrown) {
      return unacceptable(thrown);
    }
  }

  /** True where something has to be looked up or asked. */
  #isSlow(strategies: readonly Strategy[], job: AskedJob): boolean {
    const inputs = job.spec.Tasks[0].InputSources ?? [];
    return !inputs.every(isInline) || slowOnes(strategies, job).length > 0;
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

function hasProbe({ probeExec, probeHttp }: BidPolicy): boolean {
  return probeExec !== '' || probeHttp !== '';
}

function slowDeadlineMs(policy: BidPolicy): number {
  return hasProbe(policy)
    ? Math.max(SLOW_DEADLINE_MS, policy.probeTimeoutMs + PROBE_MARGIN_MS)
    : SLOW_DEADLINE_MS;
}

function withDisk(job: AskedJob, bytes: number): AskedJob {
  return bytes <= job.resources.disk ? job : { ...job, resources: { ...job.resources, disk: bytes } };
}

function verdictName(decision: Decision): 'yes' | 'no' | 'not now' | 'wait' {
  switch (decision.kind) {
    case 'bid':
      return 'yes';
    case 'wait':
      return 'wait';
    case 'reject':
      return decision.final ? 'no' : 'not now';
  }
}

/** `bytes` is what the inputs take on disk, which may be more than a job may have, or more than there is. */
function outcomeOf(
  strategies: readonly Strategy[],
  job: AskedJob,
  { decision, bytes }: { readonly decision: Decision; readonly bytes: number },
): Outcome<BidOutput> {
  if (decision.kind === 'reject') return decision;
  const raised = withDisk(job, bytes);
  const again: Decision = raised === job ? decision : decideQuickly(strategies, raised);
  if (again.kind === 'reject') return again;
  const value: BidOutput = { resources: raised.resources };
  return decision.kind === 'bid'
    ? { kind: 'advance', value }
    : { kind: 'wait', reason: decision.reason, value };
}

/** Of a job whose inputs are all in it, and that no quick strategy refuses. */
function inlineOutcome(strategies: readonly Strategy[], job: AskedJob): Outcome<BidOutput> {
  const bytes = inlineBytes(job.spec.Tasks[0].InputSources ?? []);
  return outcomeOf(strategies, job, { decision: BID, bytes });
}

/** With what was read of a peer's job, which its asker does not know yet. */
function withRead(
  { asked }: BidInput,
  { header }: AskedJob,
  outcome: Outcome<BidOutput>,
): Outcome<BidOutput> {
  if ('engine' in asked || !('value' in outcome)) return outcome;
  return { ...outcome, value: { ...outcome.value, read: readSpec(header) } };
}

function unacceptable(thrown: unknown): Outcome<BidOutput> {
  return invalid(`this node does not accept the job: ${toErrorData(thrown).message}`);
}

function invalid(reason: string): Outcome<BidOutput> {
  return { kind: 'reject', final: true, code: 'invalid', reason };
}

/** Of a spec that is known to be one. */
function parse(spec: Uint8Array): JobSpec {
  return JSON.parse(decoder.decode(spec)) as JobSpec;
}
