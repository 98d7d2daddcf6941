import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AskForBid } from '../../../src/core/messages.ts';
import type { RejectCode } from '../../../src/core/outcome.ts';
import { checked, type Kit, makeKit, told } from '../../support/requester/kit.ts';
import { turns } from '../../support/requester/manual-clock.ts';

function putOff({ node }: Kit, ask: AskForBid, code: RejectCode): Promise<void> {
  const { executionId, jobId } = ask;
  const reason = 'its exec probe has not answered';
  return node.reply({
    type: 'BidResult',
    executionId,
    jobId,
    accepted: false,
    reason,
    rejection: { code, final: false },
  });
}

describe('a job that a node puts off for a reason of the job’s own', () => {
  it('is asked for again ever more rarely, and then runs', async () => {
    const kit = await makeKit();
    const { node, requester, clock } = kit;
    const { jobId } = await requester.submit(checked({ cpu: '0.1' }));
    await turns();
    const gaps: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const ask = node.asks.at(-1);
      assert.ok(ask);
      await putOff(kit, ask, 'probe_failed');
      await turns();
      const before = node.asks.length;
      let waitedMs = 0;
      while (node.asks.length === before) {
        clock.advance(250);
        waitedMs += 250;
        await turns();
      }
      gaps.push(waitedMs);
    }
    assert.deepEqual(
      gaps.map((gap) => gap >= 1000),
      [true, true, true, true],
    );
    assert.ok((gaps[3] ?? 0) >= 4 * (gaps[0] ?? 0), gaps.join(', '));
    node.runAll();
    const last = node.asks.at(-1);
    assert.ok(last);
    await node.bid(last);
    assert.equal((await requester.ended(jobId)).state.type, 'Completed');
    assert.ok((await told(kit, jobId)).some((line) => line.includes('its exec probe has not answered')));
    const states = new Map<string, string>();
    for (const row of kit.store.log({ after: 0, limit: 1000 })) {
      if (row.level !== 'evaluation') continue;
      const id = row.details['EvaluationID'] ?? '';
      assert.equal(row.from, states.get(id) ?? '', `seq ${row.seq}: ${row.from} → ${row.to}`);
      states.set(id, row.to);
    }
    assert.ok([...states.values()].includes('complete'));
  });

  it('keeps no room: others go to the same node meanwhile, however long it waits', async () => {
    const kit = await makeKit();
    const { node, requester, clock } = kit;
    await requester.submit(checked({ cpu: '0.1' }));
    await turns();
    node.onAsk = (ask) =>
      void (ask.jobId === node.asks[0]?.jobId ? putOff(kit, ask, 'probe_failed') : node.bid(ask));
    node.onAccepted = (ask) => void node.finish(ask);
    const [first] = node.asks;
    assert.ok(first);
    await putOff(kit, first, 'probe_failed');
    for (let round = 0; round < 5; round += 1) {
      // Longer than the first of a line is overtaken before a node is kept free for it.
      clock.advance(31_000);
      await turns();
      const { jobId } = await requester.submit(checked({ cpu: '0.1' }));
      assert.equal((await requester.ended(jobId)).state.type, 'Completed');
    }
  });

  it('a bid that waits for approval counts as no ask under way', async () => {
    const kit = await makeKit({ requester: { asksInFlight: 1 } });
    const { node, requester } = kit;
    const { jobId } = await requester.submit(checked({ cpu: '0.1' }));
    await turns();
    const [ask] = node.asks;
    assert.ok(ask);
    const { executionId } = ask;
    const waiting = { type: 'BidWaiting', executionId, jobId, reason: 'ask Ann', untilMs: 1e12 } as const;
    await node.reply(waiting);
    await node.reply(waiting);
    node.runAll();
    const other = await requester.submit(checked({ cpu: '0.1' }));
    assert.equal((await requester.ended(other.jobId)).state.type, 'Completed');
    assert.equal((await told(kit, jobId)).filter((line) => line.includes('Waiting for approval')).length, 1);
    await node.bid(ask);
    assert.equal((await requester.ended(jobId)).state.type, 'Completed');
    const nodes = requester.debug()['nodes'] as { inFlight: number; held: number }[];
    assert.deepEqual([nodes[0]?.inFlight, nodes[0]?.held], [0, 0]);
  });
});
