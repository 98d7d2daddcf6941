/**
 * Child of the kill -9 test: makes transitions in bursts as fast as it can and prints what has been flushed.
 * argv: store path, node id. Every line of output is an execution id with its version, separated by a space.
 */
import { createSequencer } from '../../../src/events/seq.ts';
import { createComputeStore } from '../../../src/store/environment-compute-store.ts';
import { openLmdbEnvironment } from '../../../src/store/lmdb-environment.ts';
import type { LocalExecution } from '../../../src/store/records.ts';
import { lastSeq } from '../../../src/store/role-log.ts';
import { TEST_SPEC, testExecution, testHistory } from '../store-records.ts';

const [path = '', nodeId = ''] = process.argv.slice(2);
const PATH = ['BidAccepted', 'Running', 'Publishing', 'Completed'] as const;
const BURST = 40;

const environment = await openLmdbEnvironment({ path, role: 'compute', nodeId });
const sequencer = createSequencer(lastSeq(environment));
const store = createComputeStore({ environment, nextSeq: () => sequencer.next() });

function advance(record: LocalExecution, from: LocalExecution['state'] | null): void {
  const { executionId, jobId } = record.header;
  store.transition({
    from,
    record,
    ...(from === null ? { spec: TEST_SPEC } : {}),
    // As many rows as the version says: the reader can tell whether a transition is whole.
    history: [
      testHistory({
        executionId,
        jobId,
        from: from ?? '',
        to: record.state,
        message: String(record.version),
      }),
    ],
    outbox: [
      { to: nodeId, message: { type: 'CancelExecution', executionId, reason: String(record.version) } },
    ],
  });
}

async function report(records: readonly LocalExecution[]): Promise<void> {
  await store.flushed();
  process.stdout.write(records.map((record) => `${record.header.executionId} ${record.version}\n`).join(''));
}

for (;;) {
  let records = Array.from({ length: BURST }, () => testExecution({ comment: 'x'.repeat(500) }));
  for (const record of records) advance(record, null);
  void report(records);
  for (const state of PATH) {
    await new Promise((resolve) => setImmediate(resolve));
    const before = records;
    records = before.map((record) => ({ ...record, state, version: record.version + 1 }));
    for (const [i, record] of records.entries()) advance(record, before[i]?.state ?? null);
    await report(records);
  }
}
