import type { Resources } from '../core/job.ts';

/** An amount of all four dimensions in one word of an account, without tag and sequence. */
export type Units = bigint;

type Dimension = keyof Resources;

/** Bits of a 64-bit word that carry amounts and their guards; above them are the tag and its sequence. */
export const AMOUNT_BITS = 55;

/** Finest units: 10 millicores, 1 MiB, 1 MiB, one GPU. Nothing is gained below them. */
const FINEST: Resources = { cpu: 0.01, memory: 1_048_576, disk: 1_048_576, gpu: 1 };

/** GPUs cannot be rounded, so they get what they need; of the others the most modest goes first. */
const SHARED = ['cpu', 'memory', 'disk'] as const;
const ORDER = ['cpu', 'memory', 'disk', 'gpu'] as const;

/** Absorbs the error of decimal fractions: 0.3 / 0.01 is a little under 30. */
const ROUNDING = 1e-9;

interface Field {
  readonly dimension: Dimension;
  readonly unit: number;
  readonly at: bigint;
  readonly mask: bigint;
}

/**
 * How the dimensions of one account lie in a word, chosen from the account's limit: low to high CPU, memory, disk
 * and GPU, each with a guard bit above it that stays 0, so that all are compared, added and taken off in one step.
 * A dimension's unit is the finest one times a power of two that lets the limit fit. Requests round up, the limit
 * rounds down.
 */
export class Layout {
  readonly limit: Units;
  readonly #exact: Resources;
  readonly #fields: readonly Field[];
  readonly #guards: bigint;
  /** Jobs come in series, so the last request is kept. */
  #last: { readonly wanted: Resources; readonly units: Units | undefined } | undefined;

  constructor(limit: Resources) {
    const bits = shareOut(limit);
    const fields: Field[] = [];
    let at = 0;
    let guards = 0n;
    for (const dimension of ORDER) {
      const width = bits[dimension];
      const unit = FINEST[dimension] * 2 ** Math.max(0, bitsOf(limit, dimension) - width);
      fields.push({ dimension, unit, at: BigInt(at), mask: (1n << BigInt(width)) - 1n });
      guards |= 1n << BigInt(at + width);
      at += width + 1;
    }
    this.#fields = fields;
    this.#guards = guards;
    this.#exact = limit;
    this.limit = this.#pack(({ dimension, unit, mask }) =>
      Math.min(Number(mask), count(limit[dimension], unit, Math.floor)),
    );
  }

  /** Size of one step of a dimension, in cores, bytes or GPUs. */
  unit(dimension: Dimension): number {
    return this.#fields.find((field) => field.dimension === dimension)?.unit ?? 0;
  }

  /**
   * A request, rounded up; undefined when it is above the limit. One that only rounding lifts above the limit takes
   * all there is: what the limit lost by rounding down is enough for it.
   */
  request(wanted: Resources): Units | undefined {
    if (this.#last === undefined || !isSame(wanted, this.#last.wanted))
      this.#last = { wanted, units: this.#toUnits(wanted) };
    return this.#last.units;
  }

  /** Each dimension of `units` is at most the limit's: no guard bit is borrowed from. */
  within(units: Units): boolean {
    return (((this.limit | this.#guards) - units) & this.#guards) === this.#guards;
  }

  /** GPUs among `units`. */
  gpus(units: Units): number {
    const field = this.#fields.at(-1);
    return field === undefined ? 0 : Number((units >> field.at) & field.mask);
  }

  /** In cores, bytes and GPUs. */
  amounts(units: Units): Resources {
    const values = { cpu: 0, memory: 0, disk: 0, gpu: 0 };
    for (const { dimension, unit, at, mask } of this.#fields) {
      values[dimension] = Number((units >> at) & mask) * unit;
    }
    values.cpu = Math.round(values.cpu * 100) / 100;
    return values;
  }

  #toUnits(wanted: Resources): Units | undefined {
    if (ORDER.some((dimension) => wanted[dimension] > this.#exact[dimension] * (1 + ROUNDING)))
      return undefined;
    return this.#pack((field) => {
      const most = Number((this.limit >> field.at) & field.mask);
      return Math.min(most, count(wanted[field.dimension], field.unit, Math.ceil));
    });
  }

  #pack(amountOf: (field: Field) => number): Units {
    return this.#fields.reduce((word, field) => word | (BigInt(amountOf(field)) << field.at), 0n);
  }
}

function isSame(a: Resources, b: Resources): boolean {
  return a === b || ORDER.every((dimension) => a[dimension] === b[dimension]);
}

/** `a` less `b`, never below zero. */
export function less(a: Resources, b: Resources): Resources {
  return {
    cpu: Math.max(0, Math.round((a.cpu - b.cpu) * 1000) / 1000),
    memory: Math.max(0, a.memory - b.memory),
    disk: Math.max(0, a.disk - b.disk),
    gpu: Math.max(0, a.gpu - b.gpu),
  };
}

function shareOut(limit: Resources): Record<Dimension, number> {
  const gpu = Math.max(1, bitsOf(limit, 'gpu'));
  const bits: Record<Dimension, number> = { cpu: 1, memory: 1, disk: 1, gpu };
  let left = AMOUNT_BITS - ORDER.length - gpu;
  const wishes = SHARED.map((dimension) => ({ dimension, wish: Math.max(1, bitsOf(limit, dimension)) }));
  wishes.sort((a, b) => a.wish - b.wish);
  for (const [index, { dimension, wish }] of wishes.entries()) {
    bits[dimension] = Math.min(wish, Math.floor(left / (wishes.length - index)));
    left -= bits[dimension];
  }
  return bits;
}

/** Bits that the limit takes in the finest units. */
function bitsOf(limit: Resources, dimension: Dimension): number {
  return Math.ceil(Math.log2(count(limit[dimension], FINEST[dimension], Math.floor) + 1));
}

function count(amount: number, unit: number, round: (value: number) => number): number {
  return Math.max(0, round(amount / unit + (round === Math.ceil ? -ROUNDING : ROUNDING)));
}
