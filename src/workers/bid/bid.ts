import type { Explanation } from '../../core/bids.ts';
import { toErrorData } from '../../core/errors.ts';
import type { JobSpec, Resources } from '../../core/job.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { Storage } from '../../storages/storage.ts';
import {
  type Decision,
  decideQuickly,
  decideSlowly,
  explainAll,
  type Observer,
  type SlowOptions,
  slowOnes,
} from './decide.ts';
import { inputBytes } from './input-bytes.ts';
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

export interface BidModules {
  /** Storages by lower-case type; called with the first job that needs one. */
  readonly storages: () => Promise<ReadonlyMap<string, Storage>>;
  /** Runs exec probes; called with the first. */
  readonly runner: () => CommandRunner;
  /** Called with the first Docker job. */
  readonly platforms: () => Promise<PlatformLookup>;
}

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
    this.#observe = (strategy, decision) => tally.said(strategy, verdictName(decision));
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
  async bid(input: BidInput, signal: AbortSignal): Promise<Outcome<BidOutput>> {
    const offer = this.#offer;
    if (offer === undefined) {
      const reason = 'this node does not know yet what it can run';
      return { kind: 'reject', final: false, code: 'busy', reason };
    }
    const strategies = this.#strategies;
    const slow: SlowOptions = { signal, deadlineMs: this.#slowDeadlineMs, observe: this.#observe };
    let job: AskedJob;
    try {
      const spec = JSON.parse(new TextDecoder().decode(input.spec)) as JobSpec;
      job = { header: input.header, spec, resources: input.header.resources, offer };
      if (input.explain) return await this.#explain(strategies, job, slow);
      const decision = decideQuickly(strategies, job, this.#observe);
      if (decision.kind === 'reject') return decision;
    } catch (thrown) {
      const reason = `this node does not accept the job: ${toErrorData(thrown).message}`;
      return { kind: 'reject', final: true, code: 'invalid', reason };
    }
    const hasInputs = (job.spec.Tasks[0].InputSources?.length ?? 0) > 0;
    if (!hasInputs && slowOnes(strategies, job).length === 0) return advance(job.resources);
    return this.#bidSlowly(strategies, job, slow);
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
    if (decision.kind === 'reject') return decision;
    const raised = withDisk(job, bytes);
    // What the inputs take on disk may be more than a job may have, or more than there is.
    const again: Decision = raised === job ? decision : decideQuickly(strategies, raised);
    if (again.kind === 'reject') return again;
    if (decision.kind === 'bid') return advance(raised.resources);
    return { kind: 'wait', reason: decision.reason, value: { resources: raised.resources } };
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

function advance(resources: Resources): Outcome<BidOutput> {
  return { kind: 'advance', value: { resources } };
}
