import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { JobId } from '../../src/core/ids.ts';
import type { AskForBid } from '../../src/core/messages.ts';
import { openLmdbEnvironment } from '../../src/store/lmdb-environment.ts';
import { checked, type Kit, makeKit, NODE, nodeInfo } from '../support/requester/kit.ts';
import { turns } from '../support/requester/manual-clock.ts';

async function withFolder(run: (open: () => Promise<Kit>) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'requester-'));
  try {
    await run(async () =>
      makeKit({
        hello: false,
        environment: await openLmdbEnvironment({
          path: join(folder, 'jobs.db'),
          role: 'requester',
          nodeId: NODE,
        }),
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function close(kit: Kit): Promise<void> {
  await kit.delivery.stop(kit.clock.nowMs());
  await kit.requester.component.stop(0);
  await kit.store.close();
}

async function until(what: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000 && !what(); turn += 1) await turns(1);
  assert.ok(what());
}

describe('a requester that starts again', () => {
  it('brings jobs in every state to their end, each once', async () => {
    await withFolder(async (open) => {
      const before = await open();
      const state = new Map<JobId, string>();
      const submit = async (name: string): Promise<JobId> => {
        const { jobId } = await before.requester.submit(checked({ cpu: '0.1' }));
        state.set(jobId, name);
        return jobId;
      };
      const askOf = async (jobId: JobId): Promise<AskForBid> => {
        await until(() => before.node.asks.some((ask) => ask.jobId === jobId));
        const ask = before.node.asks.find((one) => one.jobId === jobId);
        assert.ok(ask);
        return ask;
      };
      const waiting = await submit('waiting for a node');
      const none = await before.requester.submit(checked({ engine: 'docker' }));
      await before.node.reply({ type: 'NodeInfo', info: nodeInfo({ openSlots: 3 }) });
      await until(() => before.node.asks.length === 1);
      const asked = await submit('asked');
      const accepted = await submit('accepted');
      await before.node.bid(await askOf(accepted));
      const queued = await submit('waiting for room');
      await askOf(asked);
      const acceptedAsk = await askOf(accepted);
      await close(before);

      const after = await open();
      after.node.runAll();
      assert.deepEqual(after.requester.debug()['waiting'], before.requester.debug()['waiting']);
      await after.node.reply({ type: 'NodeInfo', info: nodeInfo() });
      await after.node.finish(acceptedAsk);
      for (const id of [waiting, asked, accepted, queued]) {
        const record = await after.requester.ended(id);
        assert.equal(record.state.type, 'Completed', state.get(id));
      }
      assert.equal((await after.requester.ended(none.jobId)).state.type, 'Failed');
      const again = after.node.asks.filter(({ jobId }) => jobId === asked);
      assert.deepEqual(
        again.map(({ executionId }) => executionId),
        before.node.asks.filter(({ jobId }) => jobId === asked).map(({ executionId }) => executionId),
      );
      assert.equal(new TextDecoder().decode(again[0]?.spec).includes(asked), true);
      await until(() => after.store.outbox.size() === 0);
      assert.equal(after.requester.debug()['live'], 0);
      await close(after);
    });
  });

  it('keeps ten thousand waiting jobs on disk, and starts in their order', async () => {
    await withFolder(async (open) => {
      const before = await open();
      const ids: JobId[] = [];
      for (let batch = 0; batch < 20; batch += 1) {
        const answers = await Promise.all(
          Array.from({ length: 500 }, () => before.requester.submit(checked({ cpu: '0.1' }))),
        );
        ids.push(...answers.map(({ jobId }) => jobId));
      }
      await close(before);
      const after = await open();
      assert.equal(after.requester.debug()['waiting'], 10_000);
      assert.equal(after.requester.debug()['live'], 0);
      after.node.runAll();
      const announce = (): Promise<void> => after.node.reply({ type: 'NodeInfo', info: nodeInfo() });
      await announce();
      while (after.store.counts().Completed < 1000) {
        await turns(2);
        await announce();
      }
      assert.deepEqual(
        after.node.asks.slice(0, 1000).map(({ jobId }) => jobId),
        ids.slice(0, 1000),
      );
      await close(after);
    });
  });
});
