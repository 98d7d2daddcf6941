import { formatBytes } from '../core/resources.ts';

/** Left for the node's own stores and logs: jobs do not start into the last of it. */
export const DISK_FLOOR_BYTES = 16_777_216;

const UNKNOWN = 1n << 62n;

/** What is left of the jobs' file system, in memory that all threads see. One of them looks, all may read. */
export class DiskView {
  readonly buffer: SharedArrayBuffer;
  readonly #room: BigInt64Array;

  /** Of a buffer that another thread made, or a new one, in which nothing is known yet. */
  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
    this.#room = new BigInt64Array(this.buffer);
    if (buffer === undefined) this.set(Number.POSITIVE_INFINITY);
  }

  /** @param freeBytes of the file system; Infinity while they could not be read */
  set(freeBytes: number): void {
    const room = Number.isFinite(freeBytes) ? BigInt(Math.floor(freeBytes) - DISK_FLOOR_BYTES) : UNKNOWN;
    Atomics.store(this.#room, 0, room);
  }

  /** Bytes jobs may still write; Infinity while they could not be read. */
  get bytes(): number {
    const room = Atomics.load(this.#room, 0);
    return room === UNKNOWN ? Number.POSITIVE_INFINITY : Math.max(0, Number(room));
  }

  /** True when there is room for so much, or for a little where nothing is asked. */
  has(bytes: number): boolean {
    return Atomics.load(this.#room, 0) >= BigInt(Math.ceil(bytes));
  }

  /** Why a job that asks for so much is put off, as what "this node does not" do; undefined where there is room. */
  lack(bytes: number): { reason: string; requested: string; available: string } | undefined {
    if (this.has(bytes)) return undefined;
    const requested = formatBytes(bytes);
    const available = formatBytes(this.bytes);
    return {
      reason: `have disk left for the job (${requested} requested but only ${available} is free)`,
      requested,
      available,
    };
  }
}
