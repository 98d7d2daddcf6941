import type { Resources } from '../core/job.ts';
import { AMOUNT_BITS, Layout, less, type Units } from './ledger-layout.ts';
import { Account, Rest, type Step, stepOf, steps } from './ledger-steps.ts';
import {
  ACCOUNTS,
  AMOUNT_WORDS,
  AMOUNTS,
  type LedgerWords,
  ledgerWords,
  phaseIn,
  type SharedLedger,
  STRIDE,
  stateAfter,
  WRITER_BITS,
  WRITERS,
  writerIn,
} from './ledger-words.ts';

/** One reservation: a slot and how often it had been given away before. A stale one does nothing. */
export type Ticket = number;

/** Devices that one word can tell apart. */
export const DEVICES: number = AMOUNT_BITS;

const TAG_AT = BigInt(AMOUNT_BITS);
const SEQUENCE_AT = BigInt(AMOUNT_BITS + WRITER_BITS);
const SEQUENCES = 1n << BigInt(64 - AMOUNT_BITS - WRITER_BITS);
const AMOUNT = (1n << TAG_AT) - 1n;
const TAG = (1n << BigInt(WRITER_BITS)) - 1n;
const UNTAGGED = AMOUNT | ((SEQUENCES - 1n) << SEQUENCE_AT);

/**
 * One thread's hands on a ledger. Lock-free: every method ends in a bounded number of steps unless other threads
 * get theirs done instead, and a thread that ends in the middle of one blocks nobody.
 *
 * A step moves one reservation from rest to rest and changes one account: (1) the writer says which slot it works
 * on and claims it, (2) changes the account by compare-and-swap, leaving its tag, (3) sets the slot to its new rest,
 * (4) takes the tag off. Step (2) decides: whoever meets a tag does (3) and (4) first, so a reservation and the
 * accounts never disagree, however a writer ends. The sequence beside the tag keeps an old look from being taken
 * for a new one.
 */
export class LedgerView {
  protected readonly words: LedgerWords;
  protected readonly promisedLayout: Layout;
  protected readonly usedLayout: Layout;
  protected readonly slots: number;
  readonly #writer: number;
  readonly #total: Resources;

  /** @param writer 1 to 31: this thread's own number; the ledger's owner is 1 */
  constructor(shared: SharedLedger, writer: number) {
    if (!(writer >= 1 && writer <= WRITERS))
      throw new RangeError(`writer: expected 1 to ${WRITERS}, got ${writer}`);
    this.words = ledgerWords(shared);
    this.promisedLayout = new Layout(shared.queue);
    this.usedLayout = new Layout(shared.total);
    this.slots = shared.slots;
    this.#writer = writer;
    this.#total = this.usedLayout.amounts(this.usedLayout.limit);
  }

  /** Reserves the promise of an open ticket; false when it does not fit. */
  lease(ticket: Ticket): boolean {
    return this.step(ticket, steps.lease);
  }

  /** A leased promise stays until it is used or given back; false when it is not leased (any more). */
  accept(ticket: Ticket): boolean {
    const slot = this.slotOf(ticket);
    if (slot === undefined) return false;
    const state = Atomics.load(this.words.states, slot);
    if (phaseIn(state) !== Rest.leased || !this.#isCurrent(ticket)) return false;
    const next = stateAfter(state, 0, Rest.accepted);
    return Atomics.compareExchange(this.words.states, slot, state, next) === state;
  }

  /** Moves an accepted promise to `used`, with devices where it asks for GPUs; false when it does not fit now. */
  use(ticket: Ticket): boolean {
    if (!this.step(ticket, steps.admit)) return false;
    this.step(ticket, steps.shift);
    this.#assign(ticket);
    return true;
  }

  /** True when `use` would find room now. */
  fitsNow(ticket: Ticket): boolean {
    const slot = this.slotOf(ticket);
    return slot !== undefined && this.usedLayout.within(this.held(Account.used) + this.#amount(slot, 'used'));
  }

  /** The lease has ended unanswered: gives the promise back; false when it is not leased (any more). */
  expire(ticket: Ticket): boolean {
    return this.step(ticket, steps.withdraw);
  }

  /** The run has ended: gives back all but the disk. Does nothing to a reservation that is not in use. */
  stop(ticket: Ticket): void {
    this.step(ticket, steps.unassign);
    this.step(ticket, steps.stop);
  }

  /** Gives back whatever is held. False when another writer, alive or not reclaimed, is at it. */
  release(ticket: Ticket): boolean {
    const slot = this.slotOf(ticket);
    if (slot === undefined) return true;
    for (;;) {
      const phase = phaseIn(Atomics.load(this.words.states, slot));
      if (!this.#isCurrent(ticket) || phase === Rest.open || phase === Rest.free) return true;
      const next = wayOut(phase);
      if (next === undefined) return false;
      this.step(ticket, next);
    }
  }

  /** One of `Rest`, or a step's phase; `Rest.free` for a stale ticket. */
  phase(ticket: Ticket): number {
    const slot = this.slotOf(ticket);
    if (slot === undefined) return Rest.free;
    const state = Atomics.load(this.words.states, slot);
    return this.#isCurrent(ticket) ? phaseIn(state) : Rest.free;
  }

  /** Indexes of the devices it has, lowest first. */
  devices(ticket: Ticket): number[] {
    if (this.phase(ticket) !== Rest.assigned) return [];
    const set = this.#amount(this.slotOf(ticket) ?? 0, 'devices');
    const found: number[] = [];
    for (let index = 0; index < DEVICES; index += 1)
      if (((set >> BigInt(index)) & 1n) === 1n) found.push(index);
    return found;
  }

  used(): Resources {
    return this.usedLayout.amounts(this.held(Account.used));
  }

  promised(): Resources {
    return this.promisedLayout.amounts(this.held(Account.promised));
  }

  /** Free of the machine now. */
  free(): Resources {
    return less(this.total(), this.used());
  }

  /** True when the request would fit into what may be promised now. A look only. */
  fitsQueue(request: Resources): boolean {
    const units = this.promisedLayout.request(request);
    return units !== undefined && this.promisedLayout.within(this.held(Account.promised) + units);
  }

  /** What more may be promised now. */
  open(): Resources {
    return less(this.promisedLayout.amounts(this.promisedLayout.limit), this.promised());
  }

  total(): Resources {
    return this.#total;
  }

  /** What an account holds now, without its tag. */
  protected held(account: number): Units {
    return Atomics.load(this.words.accounts, account * STRIDE) & AMOUNT;
  }

  protected slotOf(ticket: Ticket): number | undefined {
    const slot = ticket % this.slots;
    return this.#isCurrent(ticket) ? slot : undefined;
  }

  /** Does what a writer had begun and decided; undoes what it had not. Afterwards it has nothing under way. */
  protected settle(writer: number): void {
    for (let account = 0; account < ACCOUNTS; account += 1) {
      const seen = Atomics.load(this.words.accounts, account * STRIDE);
      if (Number((seen >> TAG_AT) & TAG) === writer) this.#help(account, seen);
    }
    const slot = Atomics.load(this.words.intents, writer);
    const state = Atomics.load(this.words.states, slot);
    const begun = stepOf(phaseIn(state));
    if (begun === undefined || writerIn(state) !== writer) return;
    Atomics.compareExchange(this.words.states, slot, state, stateAfter(state, 0, begun.from));
  }

  /** Devices are at least as many as `used` counts GPUs, so there is a set; only a race makes it look again. */
  #assign(ticket: Ticket): void {
    const slot = this.slotOf(ticket);
    if (slot === undefined) return;
    const wanted = this.usedLayout.gpus(this.#amount(slot, 'used'));
    if (wanted > 0) this.step(ticket, steps.assign, (taken) => lowestFree(taken, wanted));
  }

  /**
   * Makes one step. False, and nothing has changed, when the reservation is elsewhere or the amount does not fit.
   * @param choose an amount that depends on what the account holds
   */
  protected step(ticket: Ticket, step: Step, choose?: (held: Units) => Units): boolean {
    const { states, intents, accounts, amounts } = this.words;
    const slot = this.slotOf(ticket);
    if (slot === undefined) return false;
    const before = Atomics.load(states, slot);
    if (phaseIn(before) !== step.from || !this.#isCurrent(ticket)) return false;
    Atomics.store(intents, this.#writer, slot);
    const claimed = stateAfter(before, this.#writer, step.phase);
    if (Atomics.compareExchange(states, slot, before, claimed) !== before) return false;
    for (;;) {
      const seen = Atomics.load(accounts, step.account * STRIDE);
      if (((seen >> TAG_AT) & TAG) !== 0n) {
        this.#help(step.account, seen);
        continue;
      }
      const held = seen & AMOUNT;
      if (choose !== undefined)
        Atomics.store(amounts, slot * AMOUNT_WORDS + AMOUNTS[step.amount], choose(held));
      const amount = this.#amount(slot, step.amount);
      const after = step.sign === 1 ? held + amount : held - amount;
      if (step.sign === 1 && !this.#allows(step.account, after)) {
        Atomics.compareExchange(states, slot, claimed, stateAfter(claimed, 0, step.from));
        return false;
      }
      const sequence = ((seen >> SEQUENCE_AT) + 1n) % SEQUENCES;
      const tagged = after | (BigInt(this.#writer) << TAG_AT) | (sequence << SEQUENCE_AT);
      if (Atomics.compareExchange(accounts, step.account * STRIDE, seen, tagged) !== seen) continue;
      Atomics.compareExchange(states, slot, claimed, stateAfter(claimed, 0, step.to));
      Atomics.compareExchange(accounts, step.account * STRIDE, tagged, tagged & UNTAGGED);
      return true;
    }
  }

  /** Completes the step whose tag was seen. The second look makes sure that the step found is the tag's. */
  #help(account: number, seen: bigint): void {
    const { states, intents, accounts } = this.words;
    const writer = Number((seen >> TAG_AT) & TAG);
    const slot = Atomics.load(intents, writer);
    const state = Atomics.load(states, slot);
    if (Atomics.load(accounts, account * STRIDE) !== seen) return;
    const step = stepOf(phaseIn(state));
    if (step !== undefined && step.account === account && writerIn(state) === writer) {
      Atomics.compareExchange(states, slot, state, stateAfter(state, 0, step.to));
    }
    Atomics.compareExchange(accounts, account * STRIDE, seen, seen & UNTAGGED);
  }

  #allows(account: number, units: Units): boolean {
    switch (account) {
      case Account.promised:
        return this.promisedLayout.within(units);
      case Account.used:
        return this.usedLayout.within(units);
      default:
        return true;
    }
  }

  #amount(slot: number, amount: Step['amount']): Units {
    return Atomics.load(this.words.amounts, slot * AMOUNT_WORDS + AMOUNTS[amount]);
  }

  #isCurrent(ticket: Ticket): boolean {
    const slot = ticket % this.slots;
    return Atomics.load(this.words.uses, slot) === Math.floor(ticket / this.slots);
  }
}

/** The step that gives back something of what is held at a rest. */
function wayOut(phase: number): Step | undefined {
  switch (phase) {
    case Rest.leased:
      return steps.withdraw;
    case Rest.accepted:
      return steps.cancel;
    case Rest.both:
      return steps.shift;
    case Rest.used:
      return steps.stop;
    case Rest.assigned:
      return steps.unassign;
    case Rest.disk:
      return steps.drop;
    default:
      return undefined;
  }
}

/** The lowest `count` bits that are not in `taken`. */
function lowestFree(taken: Units, count: number): Units {
  let set = 0n;
  let left = count;
  for (let bit = 1n; left > 0 && bit <= AMOUNT; bit <<= 1n) {
    if ((taken & bit) !== 0n) continue;
    set |= bit;
    left -= 1;
  }
  return set;
}
