import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeenInputs } from '../../../src/requester/locality.ts';
import { checked, makeKit, peerOf, spec } from '../../support/requester/kit.ts';
import { turns } from '../../support/requester/manual-clock.ts';

const B = '12D3KooWPeerBPeerBPeerBPeerBPeerBPeerBPeerBPeerBBBBB';
const C = '12D3KooWPeerCPeerCPeerCPeerCPeerCPeerCPeerCPeerCCCCC';

test('inputs that were seen are shared as far as they are there, and the oldest are forgotten', () => {
  const seen = new SeenInputs();
  seen.note(['a', 'b']);
  assert.deepEqual(
    [seen.share([]), seen.share(['a']), seen.share(['a', 'x']), seen.share(['x'])],
    [0, 1, 0.5, 0],
  );
  seen.forget(['a']);
  assert.equal(seen.share(['a']), 0);
  seen.note(Array.from({ length: 1000 }, (_, n) => `n-${n}`));
  assert.deepEqual([seen.share(['b']), seen.share(['n-0']), seen.share(['n-999'])], [0, 0, 1]);
});

/** A job that reads this content. */
function reading(cid: string, change: Parameters<typeof spec>[0] = {}): ReturnType<typeof checked> {
  const [task] = spec().Tasks;
  const source = { Type: 'ipfs', Params: { CID: cid } };
  return checked({
    ...change,
    Tasks: [{ ...task, InputSources: [{ Source: source, Alias: '', Target: '/in' }] }],
  });
}

test('a job goes to the node that has been seen with its data, and not to one that lacked it', async () => {
  const kit = await makeKit({ hello: false });
  const [b, c] = [peerOf(kit, B), peerOf(kit, C, { zone: 'c' })];
  const offer = { storages: ['ipfs'] };
  await b.connect(offer);
  await c.connect(offer);
  const at = (jobId: string): string => {
    const nodes = kit.store.executions(jobId).map(({ nodeId }) => (nodeId === B ? 'b' : 'c'));
    return nodes.join('');
  };
  const submit = async (job: ReturnType<typeof checked>): Promise<string> => {
    const { jobId } = await kit.requester.submit(job);
    await turns();
    return jobId;
  };
  for (const { node } of [b, c]) node.runAll();
  assert.equal(at(await submit(reading('Qm1'))), 'b', 'the first of two alike');
  const there = reading('Qm2', { Constraints: [{ Key: 'zone', Operator: 'in', Values: ['c'] }] });
  assert.equal(at(await submit(there)), 'c');
  assert.equal(at(await submit(reading('Qm2'))), 'c', 'its data is there');
  assert.equal(at(await submit(reading('Qm3'))), 'b');
  c.node.onAsk = ({ executionId, jobId }) =>
    void c.node.reply({
      type: 'BidResult',
      executionId,
      jobId,
      accepted: false,
      reason: 'not here',
      rejection: { code: 'locality', final: true },
    });
  assert.equal(at(await submit(reading('Qm2'))), 'cb', 'it is not there any more');
  assert.equal(at(await submit(reading('Qm2'))), 'b');
});
