import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { LocalExecutionState } from '../../src/core/states.ts';
import { createComputeStore } from '../../src/store/environment-compute-store.ts';
import { openLmdbEnvironment } from '../../src/store/lmdb-environment.ts';
import { TEST_NODE } from '../support/store-records.ts';

const WRITER = fileURLToPath(new URL('../support/store/writer.ts', import.meta.url));
const KILLS = 5;

describe('kill -9 of a writer', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bacalhau-kill-'));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  /** Runs the writer until it has flushed `lines` versions and then some; what it said is on disk. */
  async function runAndKill(path: string, lines: number, flushed: Map<string, number>): Promise<void> {
    const child = spawn(process.execPath, [WRITER, path, TEST_NODE], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let seen = 0;
    for await (const line of createInterface(child.stdout)) {
      const [id = '', version = ''] = line.split(' ');
      // The last line may have been cut by the kill.
      if (/^e-.{36}$/.test(id) && /^[1-5]$/.test(version))
        flushed.set(id, Math.max(Number(version), flushed.get(id) ?? 0));
      seen += 1;
      if (seen === lines) setTimeout(() => child.kill('SIGKILL'), Math.random() * 20);
    }
    const [, signal] = await exited;
    assert.equal(signal, 'SIGKILL');
  }

  it('loses nothing that was flushed, and leaves every transition whole', async () => {
    const path = join(directory, 'executions.db');
    const flushed = new Map<string, number>();
    for (let kill = 1; kill <= KILLS; kill++) {
      await runAndKill(path, 500 * kill, flushed);
      const environment = await openLmdbEnvironment({ path, role: 'compute', nodeId: TEST_NODE });
      const store = createComputeStore({ environment, nextSeq: () => 0 });
      const recount: Record<string, number> = {};
      const messages = new Map<string, number>();
      for (const row of store.outbox.pending(TEST_NODE, { limit: 1e6 })) {
        if (row.message.type !== 'CancelExecution') continue;
        messages.set(row.message.executionId, (messages.get(row.message.executionId) ?? 0) + 1);
      }
      const records = store.list({ limit: 1e6 });
      for (const record of records) {
        const id = record.header.executionId;
        recount[record.state] = (recount[record.state] ?? 0) + 1;
        assert.equal(store.history(id).length, record.version, 'a history row a version');
        assert.equal(store.history(id).at(-1)?.to, record.state);
        assert.equal(messages.get(id), record.version, 'a message a version');
        assert.ok(store.spec(id) !== undefined);
      }
      const found = new Map(records.map((record) => [record.header.executionId, record.version]));
      for (const [id, version] of flushed) {
        assert.ok(
          (found.get(id) ?? 0) >= version,
          `${id} was flushed in version ${version}, found ${found.get(id)}`,
        );
      }
      assert.ok(flushed.size > 0);
      for (const [state, count] of Object.entries(store.counts()) as [LocalExecutionState, number][]) {
        assert.equal(count, recount[state] ?? 0, `counter of ${state}`);
      }
      const live = store.live({ limit: 1e6 }).length;
      assert.equal(live, records.length - (recount['Completed'] ?? 0));
      const seqs = store.log({ after: 0, limit: 1e6 }).map((row) => row.seq);
      assert.deepEqual(
        seqs,
        seqs.map((_, i) => i + 1),
        'numbers rise without gaps over all runs',
      );
      await store.close();
    }
  });
});
