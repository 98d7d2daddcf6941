import { Errno } from './abi.ts';

/** A WASI call that fails with an error number the guest sees. Thrown inside a call, returned at its edge. */
export class Fault extends Error {
  readonly errno: Errno;

  constructor(errno: Errno) {
    super(`WASI errno ${errno}`);
    this.errno = errno;
  }
}

// Made once: a guest that probes for absent files must not cost a stack trace each time.
const faults: ReadonlyMap<Errno, Fault> = new Map(
  Object.values(Errno).map((errno) => [errno, new Fault(errno)]),
);

/** The fault of an error number, to be thrown. */
export function fault(errno: Errno): Fault {
  return faults.get(errno) ?? new Fault(errno);
}

const hostCodes: Readonly<Record<string, Errno>> = {
  E2BIG: Errno.TOOBIG,
  EACCES: Errno.ACCES,
  EAGAIN: Errno.AGAIN,
  EBADF: Errno.BADF,
  EBUSY: Errno.BUSY,
  EDQUOT: Errno.DQUOT,
  EEXIST: Errno.EXIST,
  EFAULT: Errno.FAULT,
  EFBIG: Errno.FBIG,
  EILSEQ: Errno.ILSEQ,
  EINTR: Errno.INTR,
  EINVAL: Errno.INVAL,
  EIO: Errno.IO,
  EISDIR: Errno.ISDIR,
  ELOOP: Errno.LOOP,
  EMFILE: Errno.MFILE,
  EMLINK: Errno.MLINK,
  ENAMETOOLONG: Errno.NAMETOOLONG,
  ENFILE: Errno.NFILE,
  ENODEV: Errno.NODEV,
  ENOENT: Errno.NOENT,
  ENOMEM: Errno.NOMEM,
  ENOSPC: Errno.NOSPC,
  ENOSYS: Errno.NOSYS,
  ENOTDIR: Errno.NOTDIR,
  ENOTEMPTY: Errno.NOTEMPTY,
  ENOTSUP: Errno.NOTSUP,
  ENXIO: Errno.NXIO,
  EOVERFLOW: Errno.OVERFLOW,
  EPERM: Errno.PERM,
  EPIPE: Errno.PIPE,
  EROFS: Errno.ROFS,
  ESPIPE: Errno.SPIPE,
  ESTALE: Errno.STALE,
  ETXTBSY: Errno.TXTBSY,
  EXDEV: Errno.XDEV,
};

/** The host's error code ("ENOENT") of a thrown value, or undefined where it is no system error. */
export function hostCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** The error number that a thrown value means to the guest, or undefined where it must not be hidden from the engine. */
export function errnoOf(thrown: unknown): Errno | undefined {
  if (thrown instanceof Fault) return thrown.errno;
  const code = hostCode(thrown);
  return code === undefined ? undefined : (hostCodes[code] ?? Errno.IO);
}
