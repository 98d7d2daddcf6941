import {
  constants,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
  PerformanceObserver,
} from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/** Below it V8 does as it likes: it waits for two to three times what is alive, and a small heap has room for that. */
const LARGE_BYTES = 80 * 1024 * 1024;
/** What may gather in a large one before it is collected: half a second's garbage of a node that does all it can. */
const GARBAGE_BYTES = 96 * 1024 * 1024;
/** A heap that is larger still is not collected all the time. */
const LEAST_PERCENT = 40;

/** How much of what is alive may come on top of it before the next collection, in percent; 0 leaves it to V8. */
export function growingPercent(aliveBytes: number): number {
  if (aliveBytes < LARGE_BYTES) return 0;
  return Math.max(LEAST_PERCENT, Math.round((100 * GARBAGE_BYTES) / aliveBytes));
}

function isMajor(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail: NodeGCPerformanceDetail };
  return detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}

/**
 * Keeps the garbage of a heap in bounds that holds much: V8 lets it grow in proportion to what is alive, so that a hundred
 * thousand executions that wait would cost the memory of three hundred thousand. @returns what ends it
 */
export function startGrowthLimit(): () => void {
  let percent = 0;
  const observer = new PerformanceObserver((list) => {
    if (!list.getEntries().some(isMajor)) return;
    const next = growingPercent(getHeapStatistics().used_heap_size);
    if (next === percent) return;
    percent = next;
    // Read by V8 at the end of each collection, of every thread.
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}
