import {
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  readSync,
  readvSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { Errno, Fdflags, Rights, Whence } from '../abi.ts';
import type { FileDescriptor } from '../descriptors.ts';
import { fault } from '../fault.ts';
import type { WasiHost } from '../host.ts';
import { type GuestMemory, totalBytes } from '../memory.ts';
import type { WasiCalls } from './call.ts';

/** Bytes of one read or write; a guest that asks for more is answered with less, as POSIX allows. */
const MOST_BYTES = 1 << 30;
const LAST_ADVICE = 5;

/** A position or size of the wire as a number. @throws Fault INVAL where a double cannot hold it */
export function toOffset(value: bigint): number {
  const offset = Number(BigInt.asUintN(64, value));
  if (!Number.isSafeInteger(offset)) throw fault(Errno.INVAL);
  return offset;
}

function clipped(buffers: Uint8Array[]): Uint8Array[] {
  if (totalBytes(buffers) <= MOST_BYTES) return buffers;
  return [(buffers[0] ?? new Uint8Array()).subarray(0, MOST_BYTES)];
}

function readAt(file: FileDescriptor, buffers: Uint8Array[], position: number): number {
  const [first] = buffers;
  if (first === undefined) return 0;
  if (buffers.length === 1) return readSync(file.fd, first, 0, first.length, position);
  return readvSync(file.fd, buffers, position);
}

function writeAt(file: FileDescriptor, buffers: Uint8Array[], position: number): number {
  const [first] = buffers;
  if (first === undefined) return 0;
  const bytes = totalBytes(buffers);
  if (file.tracked !== undefined) file.mount.quota?.grow(file.tracked, position + bytes);
  const written =
    buffers.length === 1
      ? writeSync(file.fd, first, 0, first.length, position)
      : writevSync(file.fd, buffers, position);
  if ((file.flags & (Fdflags.SYNC | Fdflags.DSYNC)) !== 0) fdatasyncSync(file.fd);
  return written;
}

/** Gives a file exactly `bytes`, counted. */
export function resize(file: FileDescriptor, bytes: number): void {
  if (file.tracked !== undefined) file.mount.quota?.resize(file.tracked, bytes);
  ftruncateSync(file.fd, bytes);
}

function sizeOf(file: FileDescriptor): number {
  return fstatSync(file.fd).size;
}

function seek(file: FileDescriptor, offset: bigint, whence: number): number {
  let base: number;
  switch (whence) {
    case Whence.SET:
      base = 0;
      break;
    case Whence.CUR:
      base = file.position;
      break;
    case Whence.END:
      base = sizeOf(file);
      break;
    default:
      throw fault(Errno.INVAL);
  }
  const target = BigInt(base) + offset;
  if (target < 0n) throw fault(Errno.INVAL);
  return toOffset(target);
}

/** Reading, writing and positions. */
export const ioCalls: WasiCalls = {
  fd_read(host: WasiHost, memory: GuestMemory, fd: number, iovs: number, count: number, result: number) {
    const descriptor = host.descriptors.get(fd);
    if (descriptor.kind === 'directory') throw fault(Errno.ISDIR);
    if ((descriptor.rights & Rights.FD_READ) === 0) throw fault(Errno.BADF);
    const buffers = clipped(memory.buffers(iovs, count));
    let read = 0;
    if (descriptor.kind === 'file') {
      read = readAt(descriptor, buffers, descriptor.position);
      descriptor.position += read;
    }
    memory.setU32(result, read);
    return Errno.SUCCESS;
  },

  fd_pread(
    host: WasiHost,
    memory: GuestMemory,
    fd: number,
    iovs: number,
    count: number,
    offset: bigint,
    result: number,
  ) {
    const file = host.descriptors.file(fd, Rights.FD_READ | Rights.FD_SEEK);
    memory.setU32(result, readAt(file, clipped(memory.buffers(iovs, count)), toOffset(offset)));
    return Errno.SUCCESS;
  },

  fd_write(host: WasiHost, memory: GuestMemory, fd: number, iovs: number, count: number, result: number) {
    const descriptor = host.descriptors.get(fd);
    if ((descriptor.rights & Rights.FD_WRITE) === 0) throw fault(Errno.BADF);
    const buffers = clipped(memory.buffers(iovs, count));
    let written = totalBytes(buffers);
    if (descriptor.kind === 'output') {
      descriptor.write(buffers);
    } else if (descriptor.kind === 'file') {
      const appends = (descriptor.flags & Fdflags.APPEND) !== 0;
      const position = appends ? sizeOf(descriptor) : descriptor.position;
      written = writeAt(descriptor, buffers, position);
      descriptor.position = position + written;
    }
    memory.setU32(result, written);
    return Errno.SUCCESS;
  },

  fd_pwrite(
    host: WasiHost,
    memory: GuestMemory,
    fd: number,
    iovs: number,
    count: number,
    offset: bigint,
    result: number,
  ) {
    const file = host.descriptors.file(fd, Rights.FD_WRITE | Rights.FD_SEEK);
    // Linux's pwrite appends to a file opened for appending, whatever the offset.
    const position = (file.flags & Fdflags.APPEND) === 0 ? toOffset(offset) : sizeOf(file);
    memory.setU32(result, writeAt(file, clipped(memory.buffers(iovs, count)), position));
    return Errno.SUCCESS;
  },

  fd_seek(host: WasiHost, memory: GuestMemory, fd: number, offset: bigint, whence: number, result: number) {
    const asksOnly = offset === 0n && whence === Whence.CUR;
    const file = host.descriptors.file(fd, asksOnly ? Rights.FD_TELL : Rights.FD_SEEK);
    file.position = seek(file, offset, whence);
    memory.setU64(result, BigInt(file.position));
    return Errno.SUCCESS;
  },

  fd_tell(host: WasiHost, memory: GuestMemory, fd: number, result: number) {
    const file = host.descriptors.file(fd, Rights.FD_TELL);
    memory.setU64(result, BigInt(file.position));
    return Errno.SUCCESS;
  },

  fd_allocate(host: WasiHost, _memory: GuestMemory, fd: number, offset: bigint, length: bigint) {
    const file = host.descriptors.file(fd, Rights.FD_ALLOCATE);
    if (length === 0n) throw fault(Errno.INVAL);
    const end = toOffset(BigInt.asUintN(64, offset) + BigInt.asUintN(64, length));
    if (end > sizeOf(file)) resize(file, end);
    return Errno.SUCCESS;
  },

  fd_advise(
    host: WasiHost,
    _memory: GuestMemory,
    fd: number,
    _offset: bigint,
    _length: bigint,
    advice: number,
  ) {
    const descriptor = host.descriptors.get(fd);
    if (descriptor.kind === 'directory') throw fault(Errno.BADF);
    if (advice >>> 0 > LAST_ADVICE) throw fault(Errno.INVAL);
    if ((descriptor.rights & Rights.FD_ADVISE) === 0) throw fault(Errno.NOTCAPABLE);
    return Errno.SUCCESS;
  },

  fd_datasync(host: WasiHost, _memory: GuestMemory, fd: number) {
    const descriptor = host.descriptors.get(fd);
    if (descriptor.kind === 'file') fdatasyncSync(host.descriptors.file(fd, Rights.FD_DATASYNC).fd);
    return Errno.SUCCESS;
  },

  fd_sync(host: WasiHost, _memory: GuestMemory, fd: number) {
    const descriptor = host.descriptors.get(fd);
    if (descriptor.kind === 'file') fsyncSync(host.descriptors.file(fd, Rights.FD_SYNC).fd);
    return Errno.SUCCESS;
  },

  fd_filestat_set_size(host: WasiHost, _memory: GuestMemory, fd: number, size: bigint) {
    resize(host.descriptors.file(fd, Rights.FD_FILESTAT_SET_SIZE), toOffset(size));
    return Errno.SUCCESS;
  },
};
