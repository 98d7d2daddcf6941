import type { Resources } from '../core/job.ts';

/**
 * Capacity as one 64-bit word an account, all dimensions in one atomic step. Low to high: CPU 17 bits of 10m,
 * memory 20 bits of 4 MiB, disk 19 bits of 64 MiB, GPU 4 bits, each with a guard bit above it that stays 0.
 * Requests round up, totals round down.
 */
const FIELDS = [
  { key: 'cpu', bits: 17n, unit: 0.01 },
  { key: 'memory', bits: 20n, unit: 4_194_304 },
  { key: 'disk', bits: 19n, unit: 67_108_864 },
  { key: 'gpu', bits: 4n, unit: 1 },
] as const;

/** Absorbs the error of decimal fractions: 0.3 / 0.01 is a little under 30. */
const ROUNDING = 1e-9;

let shift = 0n;
let guards = 0n;
const layout = FIELDS.map((field) => {
  const at = shift;
  guards |= 1n << (at + field.bits);
  shift += field.bits + 1n;
  return { ...field, at, mask: (1n << field.bits) - 1n };
});
const GUARDS = guards;

/** A request or a limit in ledger units. */
export type Units = bigint;

const USED = 0;
const PROMISED = 1;

export interface LedgerOptions {
  /** What running executions may add up to. */
  readonly total: Resources;
  /** What offered and accepted executions may add up to while they wait. */
  readonly queue: Resources;
}

/** View of a ledger another thread can make of what `share` gives. */
export interface SharedLedger {
  readonly words: BigInt64Array;
  readonly total: Units;
  readonly queue: Units;
}

/**
 * Lock-free capacity ledger with two accounts: `promised` (offered and accepted) and `used` (running). Every
 * method is one or two atomic operations, never blocks, and leaves a valid state whatever another thread does.
 */
export class Ledger {
  readonly #words: BigInt64Array;
  readonly #total: Units;
  readonly #queue: Units;

  /** Of `options` a ledger of its own; of what `share` gave in another thread, a view of that one. */
  constructor(options: LedgerOptions | SharedLedger) {
    if ('words' in options) {
      this.#words = options.words;
      this.#total = options.total;
      this.#queue = options.queue;
      return;
    }
    this.#words = new BigInt64Array(new SharedArrayBuffer(16));
    this.#total = pack(options.total, Math.floor);
    this.#queue = pack(options.queue, Math.floor);
  }

  /** Units of a request. */
  units(request: Resources): Units {
    return pack(request, Math.ceil);
  }

  /** True when nothing but the machine's whole size speaks against the request. */
  fitsMachine(units: Units): boolean {
    return within(units, this.#total);
  }

  /** True when the request would fit into what is free of the queue account. Reserves nothing. */
  fitsQueue(units: Units): boolean {
    return within(Atomics.load(this.#words, PROMISED) + units, this.#queue);
  }

  /** Reserves in `promised`; false when it does not fit. */
  tryPromise(units: Units): boolean {
    return this.#tryAdd(PROMISED, units, this.#queue);
  }

  /** Reserves in `used`; false when it does not fit. */
  tryUse(units: Units): boolean {
    return this.#tryAdd(USED, units, this.#total);
  }

  /** Reserves whatever the limits say: for records found at a restart, which hold their promise. */
  forcePromise(units: Units): void {
    Atomics.add(this.#words, PROMISED, units);
  }

  releasePromised(units: Units): void {
    Atomics.sub(this.#words, PROMISED, units);
  }

  releaseUsed(units: Units): void {
    Atomics.sub(this.#words, USED, units);
  }

  /** Free of the machine now, in ledger units' rounding. */
  free(): Resources {
    return subtract(this.#total, Atomics.load(this.#words, USED));
  }

  /** What more may be promised now. */
  open(): Resources {
    return subtract(this.#queue, Atomics.load(this.#words, PROMISED));
  }

  used(): Resources {
    return unpack(Atomics.load(this.#words, USED));
  }

  promised(): Resources {
    return unpack(Atomics.load(this.#words, PROMISED));
  }

  total(): Resources {
    return unpack(this.#total);
  }

  share(): SharedLedger {
    return { words: this.#words, total: this.#total, queue: this.#queue };
  }

  #tryAdd(account: number, units: Units, limit: Units): boolean {
    for (;;) {
      const before = Atomics.load(this.#words, account);
      const after = before + units;
      if (!within(after, limit)) return false;
      if (Atomics.compareExchange(this.#words, account, before, after) === before) return true;
    }
  }
}

/** Each dimension of `units` is at most that of `limit`: no guard bit is borrowed from. */
function within(units: Units, limit: Units): boolean {
  return (((limit | GUARDS) - units) & GUARDS) === GUARDS;
}

function pack(resources: Resources, round: (value: number) => number): Units {
  const nudge = round === Math.ceil ? -ROUNDING : ROUNDING;
  let word = 0n;
  for (const field of layout) {
    const amount = BigInt(Math.max(0, round(resources[field.key] / field.unit + nudge)));
    word |= (amount > field.mask ? field.mask : amount) << field.at;
  }
  return word;
}

function unpack(word: Units): Resources {
  const values = { cpu: 0, memory: 0, disk: 0, gpu: 0 };
  for (const field of layout) values[field.key] = Number((word >> field.at) & field.mask) * field.unit;
  values.cpu = Math.round(values.cpu * 100) / 100;
  return values;
}

function subtract(limit: Units, units: Units): Resources {
  const a = unpack(limit);
  const b = unpack(units);
  return {
    cpu: Math.max(0, Math.round((a.cpu - b.cpu) * 100) / 100),
    memory: Math.max(0, a.memory - b.memory),
    disk: Math.max(0, a.disk - b.disk),
    gpu: Math.max(0, a.gpu - b.gpu),
  };
}
