import { Clockid, Errno } from './abi.ts';
import { fault } from './fault.ts';

/** The clocks of one run, in nanoseconds. */
export class Clocks {
  readonly #monotonicStart: bigint = process.hrtime.bigint();
  readonly #epochStart: bigint = BigInt(Date.now()) * 1_000_000n;
  readonly #cpuStart: bigint = cpuNanoseconds();

  /** @throws Fault INVAL for a clock that is not defined */
  now(clock: number): bigint {
    switch (clock) {
      case Clockid.REALTIME:
        return this.#epochStart + (process.hrtime.bigint() - this.#monotonicStart);
      case Clockid.MONOTONIC:
        return process.hrtime.bigint() - this.#monotonicStart;
      // A run has one thread, so both mean the same: what it used, not what the node did.
      case Clockid.PROCESS_CPUTIME:
      case Clockid.THREAD_CPUTIME:
        return cpuNanoseconds() - this.#cpuStart;
      default:
        throw fault(Errno.INVAL);
    }
  }

  /** @throws Fault INVAL for a clock that is not defined */
  resolution(clock: number): bigint {
    switch (clock) {
      case Clockid.REALTIME:
      case Clockid.MONOTONIC:
        return 1n;
      case Clockid.PROCESS_CPUTIME:
      case Clockid.THREAD_CPUTIME:
        return 1000n;
      default:
        throw fault(Errno.INVAL);
    }
  }
}

function cpuNanoseconds(): bigint {
  const { user, system } = process.threadCpuUsage();
  return BigInt(user + system) * 1000n;
}

const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** Blocks the thread. Ending the thread ends the wait. */
export function sleep(nanoseconds: bigint): void {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const until = process.hrtime.bigint() + nanoseconds;
  for (let left = nanoseconds; left > 0n; left = until - process.hrtime.bigint()) {
    Atomics.wait(word, 0, 0, Math.min(Number(left) / 1e6, LONGEST_WAIT_MS));
  }
}
