import { performance } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const LOOK_EVERY_MS = 3000;
/** Share of the time that the main loop may work and still count as idle. */
const IDLE_SHARE = 0.1;
/** Collecting stops the loop for some 50 ms: it must be worth it. */
const WORTH_BYTES = 32 * 1024 * 1024;

/**
 * Gives memory back after a burst: V8 collects the old generation only while more is allocated, so an idle node would keep
 * what its last busy seconds left. One collection wakes V8's own reducer, which does the rest. @returns what ends it
 */
export function startTrimming(): () => void {
  let collect: (() => void) | undefined;
  let before = performance.eventLoopUtilization();
  // What the start has left goes first.
  let kept = 0;
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization > IDLE_SHARE || getHeapStatistics().total_heap_size < kept + WORTH_BYTES) return;
    collect ??= collector();
    collect();
    kept = getHeapStatistics().total_heap_size;
  };
  const timer = setInterval(look, LOOK_EVERY_MS).unref();
  return () => clearInterval(timer);
}

/** V8's own full collection, which Node.js hands out behind a flag only. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
