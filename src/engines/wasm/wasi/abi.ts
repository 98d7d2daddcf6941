/** Constants of wasi_snapshot_preview1 (WASI legacy/preview1/docs.md). */

export const Errno = {
  SUCCESS: 0,
  TOOBIG: 1,
  ACCES: 2,
  AGAIN: 6,
  BADF: 8,
  BUSY: 10,
  DQUOT: 19,
  EXIST: 20,
  FAULT: 21,
  FBIG: 22,
  ILSEQ: 25,
  INTR: 27,
  INVAL: 28,
  IO: 29,
  ISDIR: 31,
  LOOP: 32,
  MFILE: 33,
  MLINK: 34,
  NAMETOOLONG: 37,
  NFILE: 41,
  NODEV: 43,
  NOENT: 44,
  NOMEM: 48,
  NOSPC: 51,
  NOSYS: 52,
  NOTDIR: 54,
  NOTEMPTY: 55,
  NOTSOCK: 57,
  NOTSUP: 58,
  NXIO: 60,
  OVERFLOW: 61,
  PERM: 63,
  PIPE: 64,
  ROFS: 69,
  SPIPE: 70,
  STALE: 72,
  TXTBSY: 74,
  XDEV: 75,
  NOTCAPABLE: 76,
} as const;

/** A WASI error number; 0 is success. */
export type Errno = (typeof Errno)[keyof typeof Errno];

/** What a descriptor or a path is. */
export const Filetype = {
  UNKNOWN: 0,
  BLOCK_DEVICE: 1,
  CHARACTER_DEVICE: 2,
  DIRECTORY: 3,
  REGULAR_FILE: 4,
  SOCKET_DGRAM: 5,
  SOCKET_STREAM: 6,
  SYMBOLIC_LINK: 7,
} as const;
export type Filetype = (typeof Filetype)[keyof typeof Filetype];

export const Fdflags = { APPEND: 1, DSYNC: 2, NONBLOCK: 4, RSYNC: 8, SYNC: 16 } as const;
export const Oflags = { CREAT: 1, DIRECTORY: 2, EXCL: 4, TRUNC: 8 } as const;
export const Lookupflags = { SYMLINK_FOLLOW: 1 } as const;
export const Fstflags = { ATIM: 1, ATIM_NOW: 2, MTIM: 4, MTIM_NOW: 8 } as const;
export const Whence = { SET: 0, CUR: 1, END: 2 } as const;
export const Clockid = { REALTIME: 0, MONOTONIC: 1, PROCESS_CPUTIME: 2, THREAD_CPUTIME: 3 } as const;
export const Eventtype = { CLOCK: 0, FD_READ: 1, FD_WRITE: 2 } as const;
export const SUBCLOCK_ABSTIME = 1;

/** Bits of a rights word. The wire's u64 holds 30 of them, so a number is enough. */
export const Rights = {
  FD_DATASYNC: 0x1,
  FD_READ: 0x2,
  FD_SEEK: 0x4,
  FD_FDSTAT_SET_FLAGS: 0x8,
  FD_SYNC: 0x10,
  FD_TELL: 0x20,
  FD_WRITE: 0x40,
  FD_ADVISE: 0x80,
  FD_ALLOCATE: 0x100,
  PATH_CREATE_DIRECTORY: 0x200,
  PATH_CREATE_FILE: 0x400,
  PATH_LINK_SOURCE: 0x800,
  PATH_LINK_TARGET: 0x1000,
  PATH_OPEN: 0x2000,
  FD_READDIR: 0x4000,
  PATH_READLINK: 0x8000,
  PATH_RENAME_SOURCE: 0x10000,
  PATH_RENAME_TARGET: 0x20000,
  PATH_FILESTAT_GET: 0x40000,
  PATH_FILESTAT_SET_SIZE: 0x80000,
  PATH_FILESTAT_SET_TIMES: 0x100000,
  FD_FILESTAT_GET: 0x200000,
  FD_FILESTAT_SET_SIZE: 0x400000,
  FD_FILESTAT_SET_TIMES: 0x800000,
  PATH_SYMLINK: 0x1000000,
  PATH_REMOVE_DIRECTORY: 0x2000000,
  PATH_UNLINK_FILE: 0x4000000,
  POLL_FD_READWRITE: 0x8000000,
  SOCK_SHUTDOWN: 0x10000000,
  SOCK_ACCEPT: 0x20000000,
} as const;

const ALL_RIGHTS = 0x3fffffff;

/** Everything a regular file can be asked. */
export const FILE_RIGHTS: number =
  Rights.FD_DATASYNC |
  Rights.FD_READ |
  Rights.FD_SEEK |
  Rights.FD_FDSTAT_SET_FLAGS |
  Rights.FD_SYNC |
  Rights.FD_TELL |
  Rights.FD_WRITE |
  Rights.FD_ADVISE |
  Rights.FD_ALLOCATE |
  Rights.FD_FILESTAT_GET |
  Rights.FD_FILESTAT_SET_SIZE |
  Rights.FD_FILESTAT_SET_TIMES |
  Rights.POLL_FD_READWRITE;

/** Everything a directory can be asked. */
export const DIRECTORY_RIGHTS: number =
  Rights.FD_FDSTAT_SET_FLAGS |
  Rights.FD_SYNC |
  Rights.FD_ADVISE |
  Rights.PATH_CREATE_DIRECTORY |
  Rights.PATH_CREATE_FILE |
  Rights.PATH_LINK_SOURCE |
  Rights.PATH_LINK_TARGET |
  Rights.PATH_OPEN |
  Rights.FD_READDIR |
  Rights.PATH_READLINK |
  Rights.PATH_RENAME_SOURCE |
  Rights.PATH_RENAME_TARGET |
  Rights.PATH_FILESTAT_GET |
  Rights.PATH_FILESTAT_SET_SIZE |
  Rights.PATH_FILESTAT_SET_TIMES |
  Rights.FD_FILESTAT_GET |
  Rights.FD_FILESTAT_SET_TIMES |
  Rights.PATH_SYMLINK |
  Rights.PATH_REMOVE_DIRECTORY |
  Rights.PATH_UNLINK_FILE |
  Rights.POLL_FD_READWRITE;

/** What a stream (stdin, stdout, stderr that is no file) can be asked, besides reading or writing. */
export const STREAM_RIGHTS: number =
  Rights.FD_FDSTAT_SET_FLAGS | Rights.FD_SYNC | Rights.FD_FILESTAT_GET | Rights.POLL_FD_READWRITE;

/** Rights that change a file; never given below a read-only mount. */
export const FILE_WRITE_RIGHTS: number =
  Rights.FD_WRITE | Rights.FD_ALLOCATE | Rights.FD_FILESTAT_SET_SIZE | Rights.FD_FILESTAT_SET_TIMES;

/** A rights word of the wire as a number; bits that the ABI does not define are dropped. */
export function rightsFromWire(rights: bigint): number {
  return Number(BigInt.asUintN(30, rights)) & ALL_RIGHTS;
}
