import type { Resources } from '../core/job.ts';
import type { Units } from './ledger-layout.ts';

/** What a thread needs to work on the same ledger. Structured-cloneable; the memory is shared. */
export interface SharedLedger {
  readonly buffer: SharedArrayBuffer;
  readonly slots: number;
  /** What running executions may add up to. */
  readonly total: Resources;
  /** What offered and accepted executions may add up to while they wait. */
  readonly queue: Resources;
}

/** Threads that may move reservations of one ledger, the owner among them. 0 stands for nobody. */
export const WRITERS = 31;
/** For threads that only look: they leave nothing behind in a ledger, so they may share a number. */
export const READER = 31;
/** Bits of a writer's number. */
export const WRITER_BITS = 5;
const PHASE_BITS = 5;

/** `promised`, `used` and the set of devices. */
export const ACCOUNTS = 3;
/** Words between two accounts: each has a cache line of its own. */
export const STRIDE = 8;

/** Amounts of one slot, by the word they are kept in. */
export const AMOUNTS = { promised: 0, used: 1, run: 2, disk: 3, devices: 4 } as const;
export const AMOUNT_WORDS = 5;

/** The shared memory of a ledger as typed arrays. */
export interface LedgerWords {
  readonly accounts: BigUint64Array;
  readonly amounts: BigUint64Array;
  /** serial, writer and phase of each slot. */
  readonly states: Int32Array;
  /** How often each slot was given away. */
  readonly uses: Int32Array;
  /** The slot each writer works on. */
  readonly intents: Int32Array;
}

/** Bytes of a ledger with so many slots. */
export function ledgerBytes(slots: number): number {
  return 8 * (ACCOUNTS * STRIDE + slots * AMOUNT_WORDS) + 4 * (2 * slots + WRITERS + 1);
}

/** The arrays on a ledger's memory. */
export function ledgerWords({ buffer, slots }: SharedLedger): LedgerWords {
  let at = 0;
  const next = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  return {
    accounts: new BigUint64Array(buffer, next(8 * ACCOUNTS * STRIDE), ACCOUNTS * STRIDE),
    amounts: new BigUint64Array(buffer, next(8 * slots * AMOUNT_WORDS), slots * AMOUNT_WORDS),
    states: new Int32Array(buffer, next(4 * slots), slots),
    uses: new Int32Array(buffer, next(4 * slots), slots),
    intents: new Int32Array(buffer, next(4 * (WRITERS + 1)), WRITERS + 1),
  };
}

/** Phase of a slot's state. */
export function phaseIn(state: number): number {
  return state & ((1 << PHASE_BITS) - 1);
}

/** Who is at a slot; 0 for nobody. */
export function writerIn(state: number): number {
  return (state >>> PHASE_BITS) & ((1 << WRITER_BITS) - 1);
}

/** The state after `state`: its serial goes up, so that nobody takes a later one for this. */
export function stateAfter(state: number, writer: number, phase: number): number {
  const serial = (state >>> (PHASE_BITS + WRITER_BITS)) + 1;
  return (serial << (PHASE_BITS + WRITER_BITS)) | (writer << PHASE_BITS) | phase | 0;
}

/** What a request is in each of the words it is kept in: `run` is `used` without the disk. */
export type SlotAmounts = Readonly<Record<'promised' | 'used' | 'run' | 'disk', Units>>;

/** The owner writes a slot's amounts before anybody else knows of its ticket. */
export function writeAmounts(words: LedgerWords, slot: number, amounts: SlotAmounts): void {
  for (const name of ['promised', 'used', 'run', 'disk'] as const) {
    Atomics.store(words.amounts, slot * AMOUNT_WORDS + AMOUNTS[name], amounts[name]);
  }
}
