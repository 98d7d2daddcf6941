import { isUtf8 } from 'node:buffer';
import type { LinearMemory } from '../webassembly.ts';
import { Errno } from './abi.ts';
import { fault } from './fault.ts';

/** Longest path of a call, in bytes: PATH_MAX of Linux. */
const LONGEST_PATH = 4096;
/** Most buffers of one scattered read or write: IOV_MAX of Linux. */
const MOST_BUFFERS = 1024;

const EMPTY = new ArrayBuffer(0);

/** Checked access to an instance's linear memory. Every address and length comes from the guest. */
export class GuestMemory {
  #memory: LinearMemory | undefined;
  #buffer: ArrayBuffer = EMPTY;
  #view: DataView = new DataView(EMPTY);
  #bytes: Uint8Array = new Uint8Array(EMPTY);

  /** Names the memory; until then every access fails with FAULT. */
  attach(memory: LinearMemory): void {
    this.#memory = memory;
  }

  /** Bytes it has now. */
  get size(): number {
    return this.#memory?.buffer.byteLength ?? 0;
  }

  #refresh(): void {
    const buffer = this.#memory?.buffer ?? EMPTY;
    if (buffer === this.#buffer) return;
    this.#buffer = buffer;
    this.#view = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  #at(pointer: number, length: number): number {
    this.#refresh();
    const start = pointer >>> 0;
    if (start + length > this.#buffer.byteLength) throw fault(Errno.FAULT);
    return start;
  }

  /** The bytes themselves, valid until the guest runs again. */
  bytes(pointer: number, length: number): Uint8Array {
    const size = length >>> 0;
    const start = this.#at(pointer, size);
    return this.#bytes.subarray(start, start + size);
  }

  getU8(pointer: number): number {
    const at = this.#at(pointer, 1);
    return this.#view.getUint8(at);
  }

  getU16(pointer: number): number {
    const at = this.#at(pointer, 2);
    return this.#view.getUint16(at, true);
  }

  getU32(pointer: number): number {
    const at = this.#at(pointer, 4);
    return this.#view.getUint32(at, true);
  }

  getU64(pointer: number): bigint {
    const at = this.#at(pointer, 8);
    return this.#view.getBigUint64(at, true);
  }

  setU8(pointer: number, value: number): void {
    const at = this.#at(pointer, 1);
    this.#view.setUint8(at, value);
  }

  setU16(pointer: number, value: number): void {
    const at = this.#at(pointer, 2);
    this.#view.setUint16(at, value, true);
  }

  setU32(pointer: number, value: number): void {
    const at = this.#at(pointer, 4);
    this.#view.setUint32(at, value, true);
  }

  setU64(pointer: number, value: bigint): void {
    const at = this.#at(pointer, 8);
    this.#view.setBigUint64(at, value, true);
  }

  /** Copies `source` to `pointer`. */
  set(pointer: number, source: Uint8Array): void {
    const at = this.#at(pointer, source.length);
    this.#bytes.set(source, at);
  }

  /** A path: UTF-8 (else ILSEQ) without NUL (else INVAL), not empty (else NOENT). */
  path(pointer: number, length: number): string {
    const text = this.text(pointer, length);
    if (text === '') throw fault(Errno.NOENT);
    return text;
  }

  /** Text as of `path`, which may be empty. */
  text(pointer: number, length: number): string {
    if (length >>> 0 > LONGEST_PATH) throw fault(Errno.NAMETOOLONG);
    const bytes = this.bytes(pointer, length);
    if (!isUtf8(bytes)) throw fault(Errno.ILSEQ);
    if (bytes.includes(0)) throw fault(Errno.INVAL);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  }

  /** The buffers of an iovec or ciovec array, empty ones left out. */
  buffers(pointer: number, count: number): Uint8Array[] {
    if (count >>> 0 > MOST_BUFFERS) throw fault(Errno.INVAL);
    const found: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      const at = pointer + index * 8;
      const length = this.getU32(at + 4);
      const bytes = this.bytes(this.getU32(at), length);
      if (length > 0) found.push(bytes);
    }
    return found;
  }
}

/** Bytes of all buffers together. */
export function totalBytes(buffers: readonly Uint8Array[]): number {
  let total = 0;
  for (const buffer of buffers) total += buffer.length;
  return total;
}
