import { Ledger } from '../../src/capacity/ledger.ts';
import type { ExecutionHeader } from '../../src/core/item.ts';
import type { Resources } from '../../src/core/job.ts';
import { limits } from '../../src/core/limits.ts';
import { NO_RESOURCES } from '../../src/core/resources.ts';
import type { LocalExecutionState } from '../../src/core/states.ts';
import { createSequencer } from '../../src/events/seq.ts';
import type { Item } from '../../src/pipeline/item.ts';
import { Records } from '../../src/pipeline/records.ts';
import type { ComputeStore } from '../../src/store/compute-store.ts';
import { createComputeStore } from '../../src/store/environment-compute-store.ts';
import { openMemoryEnvironment } from '../../src/store/memory-environment.ts';
import type { LocalExecution } from '../../src/store/records.ts';
import { createLogger, type Logger } from '../../src/telemetry/logger.ts';
import { ManualClock } from './requester/manual-clock.ts';
import { TEST_NODE, TEST_SPEC, testExecution } from './store-records.ts';

export const MIB = 1_048_576;
/** Of the machine in these tests. Multiples of the ledger's units. */
export const MACHINE: Resources = { cpu: 2, memory: 1024 * MIB, disk: 6400 * MIB, gpu: 4 };

export const silentLogger: Logger = createLogger({ level: 'silent', mode: 'json', colour: false });

/** Parts of the compute role's main-thread half, over a store in memory and a clock that stands still. */
export interface PipelineKit {
  readonly clock: ManualClock;
  readonly ledger: Ledger;
  readonly store: ComputeStore;
  readonly records: Records;
  /** An item with a record in the store. */
  item(parts?: Partial<ExecutionHeader>, record?: Partial<LocalExecution>): Item;
}

/** A request with the rest of its dimensions 0. */
export function request(parts: Partial<Resources>): Resources {
  return { ...NO_RESOURCES, ...parts };
}

export function pipelineKit(machine: Resources = MACHINE): PipelineKit {
  const clock = new ManualClock();
  const sequencer = createSequencer(0);
  const store = createComputeStore({ environment: openMemoryEnvironment(), nextSeq: () => sequencer.next() });
  const ledger = new Ledger({ total: machine, queue: { ...machine, cpu: 1000, gpu: 15 } });
  const records = new Records({ nodeId: TEST_NODE, limits }, { store, clock });
  return {
    clock,
    ledger,
    store,
    records,
    item(parts = {}, change = {}) {
      const plain = testExecution(change);
      const record = { ...plain, header: { ...plain.header, ...parts } };
      // The store lets no state be skipped.
      const way: readonly LocalExecutionState[] =
        record.state === 'Created' ? ['Created'] : ['Created', 'BidAccepted', record.state];
      let from: LocalExecutionState | null = null;
      for (const state of new Set(way)) {
        const spec = from === null ? { spec: TEST_SPEC } : {};
        store.transition({ from, record: { ...record, state }, ...spec, history: [] });
        from = state;
      }
      return records.item(record, TEST_SPEC);
    },
  };
}
