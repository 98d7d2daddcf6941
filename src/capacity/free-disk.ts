import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Timer } from '../core/clock.ts';
import { toErrorData } from '../core/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { DiskView } from './disk-view.ts';

/** Free space changes with what anybody writes: a look costs one call of the file system. */
const LOOK_MS = 2_000;

/** A network file system that does not answer must not hold anything up. */
const STATFS_TIMEOUT_MS = 3_000;

export interface FreeDiskOptions {
  /** Any folder of the file system that jobs write to. It exists. */
  readonly directory: string;
}

export interface FreeDiskModules {
  readonly clock: Clock;
  readonly logger: Logger;
  /** There is more room than at the last look. */
  readonly onMore: () => void;
  /** Free bytes of a folder's file system; a test has its own. */
  readonly free?: (directory: string) => Promise<number>;
}

/**
 * What is really free of the jobs' file system, which others write to as well. The ledger counts what was asked
 * for; this says whether it is still there.
 */
export class FreeDisk {
  readonly #options: FreeDiskOptions;
  readonly #modules: FreeDiskModules;
  /** What the last look has shown. */
  readonly view: DiskView = new DiskView();
  #timer: Timer | undefined;
  #stopped = false;
  #isUnreadable = false;

  constructor(options: FreeDiskOptions, modules: FreeDiskModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** Resolves after the first look. */
  async start(): Promise<void> {
    await this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { clock, logger, onMore, free = freeBytes } = this.#modules;
    const before = this.view.bytes;
    try {
      this.view.set(await free(this.#options.directory));
      this.#isUnreadable = false;
    } catch (thrown) {
      // The ledger's own count goes on to hold.
      this.view.set(Number.POSITIVE_INFINITY);
      if (!this.#isUnreadable) {
        logger.warn({ reason: toErrorData(thrown).message }, 'the free disk space could not be read');
      }
      this.#isUnreadable = true;
    }
    if (this.#stopped) return;
    if (this.view.bytes > before) onMore();
    this.#timer = clock.at(clock.nowMs() + LOOK_MS, () => void this.#look());
  }
}

/**
 * Bytes that an unprivileged process can still write to the file system of `directory`, which need not exist yet.
 * @throws Error of the system, or when there is no answer within 3 s
 */
export async function freeBytes(directory: string): Promise<number> {
  const settled = new AbortController();
  const answer = statfsOfNearest(directory);
  answer.catch(() => undefined);
  try {
    const { bavail, bsize } = await Promise.race([
      answer,
      delay(STATFS_TIMEOUT_MS, undefined, { signal: settled.signal }).then(() => {
        throw new Error(`no answer within ${STATFS_TIMEOUT_MS} ms`);
      }),
    ]);
    return bavail * bsize;
  } finally {
    settled.abort();
  }
}

async function statfsOfNearest(directory: string): Promise<{ bavail: number; bsize: number }> {
  try {
    return await statfs(directory);
  } catch (thrown) {
    const parent = dirname(directory);
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT' || parent === directory) throw thrown;
    return statfsOfNearest(parent);
  }
}
