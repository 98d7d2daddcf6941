import { toErrorData } from '../../core/errors.ts';
import type { JobSpec, Resources } from '../../core/job.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { Storage } from '../../storages/storage.ts';
import { type Decision, decideQuickly, decideSlowly } from './decide.ts';
import { inputBytes } from './input-bytes.ts';
import type { BidInput, BidOptions, BidOutput, Offer } from './protocol.ts';
import { engineInstalled, publisherInstalled, storageInstalled } from './strategies/installed.ts';
import { inputLocality } from './strategies/locality.ts';
import { maxCapacity } from './strategies/max-capacity.ts';
import { networking } from './strategies/networking.ts';
import { stateless } from './strategies/stateless.ts';
import { timeout } from './strategies/timeout.ts';
import type { AskedJob, Strategy } from './strategy.ts';

/** Time for all look-ups of one job together. A requester waits for the answer. */
const SLOW_DEADLINE_MS = 5_000;
/** Sizes only sharpen the request: no bid waits long for them. */
const SIZE_DEADLINE_MS = 1_000;

export interface BidModules {
  /** Storages by lower-case type; called with the first job that needs one. */
  readonly storages: () => Promise<ReadonlyMap<string, Storage>>;
}

/** Decides which jobs this node offers to run. Holds no reservation: the spine makes it when the answer is yes. */
export class Bidder {
  readonly #strategies: readonly Strategy[];
  readonly #find: (type: string) => Promise<Storage | undefined>;
  #offer: Offer | undefined;

  constructor(options: BidOptions, modules: BidModules) {
    this.#find = async (type) => (await modules.storages()).get(type);
    this.#strategies = createStrategies(options, this.#find);
  }

  /** What is installed and answering from now on. */
  setOffer(offer: Offer): void {
    this.#offer = offer;
  }

  /** Never rejects: what goes wrong is a rejection with the reason. */
  async bid(input: BidInput, signal: AbortSignal): Promise<Outcome<BidOutput>> {
    const offer = this.#offer;
    if (offer === undefined) {
      const reason = 'this node does not know yet what it can run';
      return { kind: 'reject', final: false, code: 'busy', reason };
    }
    let job: AskedJob;
    try {
      const spec = JSON.parse(new TextDecoder().decode(input.spec)) as JobSpec;
      job = { header: input.header, spec, resources: input.header.resources, offer };
      const decision = decideQuickly(this.#strategies, job);
      if (decision.kind !== 'bid') return decision;
      if ((spec.Tasks[0].InputSources?.length ?? 0) === 0) return advance(job.resources);
    } catch (thrown) {
      const reason = `this node does not accept the job: ${toErrorData(thrown).message}`;
      return { kind: 'reject', final: true, code: 'invalid', reason };
    }
    return this.#bidWithInputs(job, signal);
  }

  async #bidWithInputs(job: AskedJob, signal: AbortSignal): Promise<Outcome<BidOutput>> {
    const [decision, bytes] = await Promise.all([
      decideSlowly(this.#strategies, job, signal, SLOW_DEADLINE_MS),
      inputBytes(job.spec.Tasks[0].InputSources ?? [], this.#find, signal, SIZE_DEADLINE_MS),
    ]);
    if (signal.aborted) return { kind: 'cancelled', reason: 'the ask was withdrawn' };
    if (decision.kind !== 'bid') return decision;
    if (bytes <= job.resources.disk) return advance(job.resources);
    const raised: AskedJob = { ...job, resources: { ...job.resources, disk: bytes } };
    const again: Decision = decideQuickly(this.#strategies, raised);
    return again.kind === 'bid' ? advance(raised.resources) : again;
  }
}

/**
 * The strategies in the documented order: of those that refuse, the first one's reason is told. A probe is one
 * more slow strategy between locality and engine.
 */
function createStrategies(
  options: BidOptions,
  find: (type: string) => Promise<Storage | undefined>,
): readonly Strategy[] {
  return [
    networking({
      acceptNetworked: options.acceptNetworked,
      allowHostNetwork: options.allowHostNetwork,
    }),
    timeout(options),
    stateless(options),
    publisherInstalled,
    storageInstalled,
    inputLocality(options, find),
    engineInstalled,
    maxCapacity(options),
  ];
}

function advance(resources: Resources): Outcome<BidOutput> {
  return { kind: 'advance', value: { resources } };
}
