import type { Resources } from '../core/job.ts';
import type { RoomAnnounced } from '../core/messages.ts';
import type { ComputeInfo } from '../core/node-info.ts';
import { fits, NO_RESOURCES } from '../core/resources.ts';

/** When a node that seems full is asked all the same: room may have been announced and the word lost. */
const PROBE_MS = 1000;
/** The delay doubles with every refusal up to this, so that a job waiting for hours leaves few refused asks. */
const LONGEST_PROBE_MS = 60_000;
/** Longest time an announcement is not believed after a node has refused again and again what it announced. */
const LONGEST_QUIET_MS = 10_000;

function plus(a: Resources, b: Resources, sign: 1 | -1): Resources {
  return {
    cpu: a.cpu + sign * b.cpu,
    memory: a.memory + sign * b.memory,
    disk: a.disk + sign * b.disk,
    gpu: a.gpu + sign * b.gpu,
  };
}

function times(a: Resources, count: number): Resources {
  if (count === 1) return a;
  return { cpu: a.cpu * count, memory: a.memory * count, disk: a.disk * count, gpu: a.gpu * count };
}

/** Sums of fractions of a core must not fail by the last bit of a double. */
const ROUNDING: Resources = { cpu: 1e-6, memory: 0, disk: 0, gpu: 0 };

/** What a node says of its room. */
export type AnnouncedRoom = Pick<RoomAnnounced, 'openSlots' | 'openCapacity'>;

/**
 * What a requester believes of the room at one node: what the node last told, less what was asked since. A
 * belief only: the node decides. Too much of it costs a refused ask, too little is corrected by the next
 * announcement and by probes that grow rarer.
 */
export class NodeRoom {
  readonly #asksInFlight: number;
  #told = false;
  #inFlight = 0;
  #inFlightResources: Resources = NO_RESOURCES;
  #held = 0;
  #slots = 0;
  #free: Resources = NO_RESOURCES;
  /** Refused for want of this much: nothing as large in every dimension is asked until something changes. */
  #ceiling: Resources | null = null;
  #refusals = 0;
  #quietUntilMs = 0;
  #announced: AnnouncedRoom | null = null;
  #probeAtMs = 0;

  constructor(options: { readonly asksInFlight: number }) {
    this.#asksInFlight = options.asksInFlight;
  }

  /** Asks not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Executions asked for or accepted and not ended. */
  get outstanding(): number {
    return this.#inFlight + this.#held;
  }

  /** The node told its state: older beliefs are gone. Asks on their way are counted on top. */
  told(info: ComputeInfo): void {
    this.#told = true;
    this.#slots = info.openSlots - this.#inFlight;
    this.#free = plus(info.openCapacity, this.#inFlightResources, -1);
    this.#ceiling = null;
    this.#announced = null;
    this.#quietUntilMs = 0;
  }

  /** The node has this much room. Believed later when it has just refused what it announced. */
  announced(room: AnnouncedRoom, nowMs: number): void {
    this.#announced = room;
    this.#believe(nowMs);
  }

  asked(resources: Resources, nowMs: number): void {
    this.#inFlight += 1;
    this.#inFlightResources = plus(this.#inFlightResources, resources, 1);
    this.#slots -= 1;
    this.#free = plus(this.#free, resources, -1);
    this.#probeLater(nowMs);
  }

  /** An ask of an earlier life of this process is still open. */
  restored(resources: Resources, accepted: boolean): void {
    if (accepted) {
      this.#held += 1;
      return;
    }
    this.#inFlight += 1;
    this.#inFlightResources = plus(this.#inFlightResources, resources, 1);
  }

  /** An ask got its answer, or waits for none any more. */
  answered(resources: Resources, accepted: boolean): void {
    this.#inFlight -= 1;
    this.#inFlightResources =
      this.#inFlight === 0 ? NO_RESOURCES : plus(this.#inFlightResources, resources, -1);
    if (accepted) {
      this.#held += 1;
      this.#refusals = 0;
    } else {
      this.#release(resources);
    }
  }

  /** A node took up what had waited for its operator. */
  tookUp(): void {
    this.#held += 1;
    this.#refusals = 0;
  }

  /** An accepted execution ended. What that frees is the node's to announce. */
  ended(): void {
    this.#held -= 1;
    this.#ceiling = null;
  }

  /** The answer was a transient no; `answered` was called. `resources` is null when the node lacks places, not resources. */
  refused(resources: Resources | null, nowMs: number): void {
    if (resources === null) this.#slots = 0;
    else if (this.#ceiling === null || fits(resources, this.#ceiling)) this.#ceiling = resources;
    // A burst of asks refused together is one round.
    if (this.#inFlight === 0) this.#refusals += 1;
    if (this.#refusals > 1) {
      this.#quietUntilMs = nowMs + Math.min(LONGEST_QUIET_MS, 5 * 2 ** Math.min(this.#refusals, 12));
    }
    this.#probeLater(nowMs);
  }

  /** True when anything at all may be asked now. */
  isOpen(nowMs: number): boolean {
    if (!this.#told || this.#inFlight >= this.#asksInFlight) return false;
    this.#believe(nowMs);
    return this.#slots > 0 || this.#mayProbe(nowMs);
  }

  /** True when `count` jobs of this size may be asked now. */
  has(resources: Resources, count: number, nowMs: number): boolean {
    if (!this.isOpen(nowMs) || this.#inFlight + count > this.#asksInFlight) return false;
    if (count === 1 && this.#mayProbe(nowMs)) return true;
    if (this.#slots < count) return false;
    if (this.#ceiling !== null && fits(this.#ceiling, resources)) return false;
    // With nothing of ours there, only the node knows what is in the way.
    if (count === 1 && this.outstanding === 0 && this.#refusals === 0) return true;
    return fits(times(resources, count), plus(this.#free, ROUNDING, 1));
  }

  debug(): Record<string, number> {
    return { inFlight: this.#inFlight, held: this.#held, slots: this.#slots, refusals: this.#refusals };
  }

  #release(resources: Resources): void {
    this.#slots += 1;
    this.#free = plus(this.#free, resources, 1);
  }

  #probeLater(nowMs: number): void {
    this.#probeAtMs = nowMs + Math.min(LONGEST_PROBE_MS, PROBE_MS * 2 ** Math.min(this.#refusals, 10));
  }

  #mayProbe(nowMs: number): boolean {
    return this.#inFlight === 0 && nowMs >= this.#probeAtMs;
  }

  #believe(nowMs: number): void {
    if (this.#announced === null || nowMs < this.#quietUntilMs) return;
    this.#slots = this.#announced.openSlots - this.#inFlight;
    this.#free = plus(this.#announced.openCapacity, this.#inFlightResources, -1);
    this.#ceiling = null;
    this.#announced = null;
  }
}
