import { NodeError } from '../core/errors.ts';
import type { Resources } from '../core/job.ts';
import { NO_RESOURCES } from '../core/resources.ts';
import { Rest, steps } from './ledger-steps.ts';
import { DEVICES, LedgerView, type Ticket } from './ledger-view.ts';
import {
  ledgerBytes,
  phaseIn,
  type SharedLedger,
  type SlotAmounts,
  stateAfter,
  writeAmounts,
  writerIn,
} from './ledger-words.ts';

/** The owner's number among the writers. */
const OWNER = 1;

/** Executions that can hold something at once where nobody says: four times what may wait. 48 bytes each. */
const SLOTS = 16_384;

export interface LedgerOptions {
  /** What running executions may add up to. */
  readonly total: Resources;
  /** What offered and accepted executions may add up to while they wait. */
  readonly queue: Resources;
  /** Executions that can hold something at once. */
  readonly slots?: number;
}

/**
 * The owner's side of the capacity ledger: two accounts, `promised` (offered and accepted) and `used` (running),
 * and the set of assigned devices, held by reservations. The owner gives tickets out and takes them back; what is
 * held for a ticket may be moved by any thread with a `LedgerView`.
 */
export class Ledger extends LedgerView {
  readonly #shared: SharedLedger;
  readonly #free: number[];
  /** Restored reservations whose promise did not fit any more: nothing new is promised while there are any. */
  readonly #over = new Set<Ticket>();
  #last: (Resources & { readonly amounts: SlotAmounts }) | undefined;

  /** @throws NodeError ConfigInvalid: more GPUs than one word tells apart */
  constructor(options: LedgerOptions) {
    const { total, queue, slots = SLOTS } = options;
    if (total.gpu > DEVICES) {
      throw new NodeError('ConfigInvalid', `${total.gpu} GPUs are offered (expected at most ${DEVICES})`);
    }
    const shared = { buffer: new SharedArrayBuffer(ledgerBytes(slots)), slots, total, queue };
    super(shared, OWNER);
    this.#shared = shared;
    this.#free = Array.from({ length: slots }, (_, index) => slots - 1 - index);
    // Ticket numbers begin above 0, which stands for none.
    this.words.uses.fill(1);
  }

  /** What a thread makes its view of. */
  share(): SharedLedger {
    return this.#shared;
  }

  /** Tickets that can still be given out. */
  get freeSlots(): number {
    return this.#free.length;
  }

  /** True when nothing but the machine's whole size speaks against the request. */
  fitsMachine(request: Resources): boolean {
    return this.usedLayout.request(request) !== undefined;
  }

  /** A ticket that holds nothing yet; undefined when the request can never fit, or no slot is free. */
  issue(request: Resources): Ticket | undefined {
    const amounts = this.#amountsOf(request);
    if (amounts === undefined) return undefined;
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    writeAmounts(this.words, slot, amounts);
    this.#setState(slot, Rest.open);
    return Atomics.load(this.words.uses, slot) * this.slots + slot;
  }

  /** A ticket with its promise reserved, or undefined and nothing has changed. */
  reserve(request: Resources): Ticket | undefined {
    if (this.#over.size > 0) return undefined;
    const ticket = this.issue(request);
    if (ticket === undefined || this.lease(ticket)) return ticket;
    this.close(ticket);
    return undefined;
  }

  /**
   * A ticket for an offer found at a restart, leased whatever the limits are now: where its promise fits no more it
   * holds none, and nothing new is promised until it has gone on. Undefined when it fits the machine no more.
   */
  restore(request: Resources): Ticket | undefined {
    const ticket = this.issue(request);
    if (ticket === undefined || this.lease(ticket)) return ticket;
    const amounts = this.#amountsOf(request);
    if (amounts !== undefined) writeAmounts(this.words, ticket % this.slots, { ...amounts, promised: 0n });
    this.#over.add(ticket);
    this.lease(ticket);
    return ticket;
  }

  /** A ticket for results found on disk at a restart. Holds no disk where there is no room for it any more. */
  restoreDisk(bytes: number): Ticket | undefined {
    const ticket = this.issue({ ...NO_RESOURCES, disk: bytes });
    if (ticket === undefined || this.step(ticket, steps.keep)) return ticket;
    this.close(ticket);
    return undefined;
  }

  override use(ticket: Ticket): boolean {
    if (!super.use(ticket)) return false;
    this.#over.delete(ticket);
    return true;
  }

  /** Gives back whatever the ticket holds, and the ticket. A stale one does nothing. False: `reclaim` comes first. */
  close(ticket: Ticket): boolean {
    if (!this.release(ticket)) return false;
    const slot = this.slotOf(ticket);
    if (slot === undefined) return true;
    this.#over.delete(ticket);
    this.#setState(slot, Rest.free);
    Atomics.add(this.words.uses, slot, 1);
    this.#free.push(slot);
    return true;
  }

  /**
   * The thread with this writer's number has ended: what it was in the middle of is done or undone. What it held
   * belongs to the tickets, which their owner closes. The number may be used again afterwards.
   */
  reclaim(writer: number): void {
    this.settle(writer);
  }

  /** Amounts of a request; undefined when it can never fit. Jobs come in series, so the last ones are kept. */
  #amountsOf(request: Resources): SlotAmounts | undefined {
    const { cpu, memory, disk, gpu } = request;
    const last = this.#last;
    if (last?.cpu === cpu && last.memory === memory && last.disk === disk && last.gpu === gpu) {
      return last.amounts;
    }
    const used = this.usedLayout.request(request);
    const promised = this.promisedLayout.request(request);
    const kept = this.usedLayout.request({ ...NO_RESOURCES, disk });
    if (used === undefined || promised === undefined || kept === undefined) return undefined;
    const amounts = { promised, used, run: used - kept, disk: kept };
    this.#last = { cpu, memory, disk, gpu, amounts };
    return amounts;
  }

  #setState(slot: number, phase: number): void {
    const state = Atomics.load(this.words.states, slot);
    if (writerIn(state) !== 0) throw new Error(`slot ${slot} is at ${phaseIn(state)}: a step is under way`);
    Atomics.store(this.words.states, slot, stateAfter(state, 0, phase));
  }
}
