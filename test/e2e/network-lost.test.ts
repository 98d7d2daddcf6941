import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computeStateCodes } from '../../src/core/states.ts';
import { countedJob, runsOf } from '../support/counted.ts';
import { temporaryFolder } from '../support/folders.ts';
import { mockJob } from '../support/jobs.ts';
import { connection, onlyAt, startNetwork } from '../support/network.ts';
import { startTestNode } from '../support/node.ts';
import { localOf, untilLocal } from '../support/node-facts.ts';
import { nodeInfo } from '../support/requester/kit.ts';
import { completed, said } from '../support/results.ts';
import { wireNode } from '../support/wire.ts';

const { Completed, Failed } = computeStateCodes;
const LOST_AFTER = '8s';

test('a node that stays away: its work runs elsewhere; back again, what it did is noted and not used', {
  timeout: 90_000,
}, async (t) => {
  const folder = await temporaryFolder(t);
  const local = ['--allow-listed-local-paths', `${folder}/**:rw`];
  const { requester, computes, links } = await startNetwork(t, {
    computes: [
      ['--labels', 'site=b,size=small', ...local],
      ['--labels', 'site=c,size=small', ...local],
    ],
    requesterFlags: ['--node-lost-timeout', LOST_AFTER],
  });
  const [b, c] = computes;
  assert.ok(b !== undefined && c !== undefined);
  const parts = { publisher: 'local' };
  const kept = await requester.submit(onlyAt(await countedJob(folder, 'kept', 0, parts), 'b'));
  await completed(requester, kept);

  const job = await countedJob(folder, 'moved', 4000);
  const id = await requester.submit(job);
  const lost = await requester.waitUntil(async () => {
    const states = await Promise.all(computes.map(async (node) => (await localOf(node, id))?.state));
    const at = states.indexOf('Running');
    return at < 0 ? undefined : at;
  }, 'it runs at one of them');
  const [gone, other] = lost === 0 ? [b, c] : [c, b];
  await links[lost]?.cut();
  await requester.waitUntil(
    async () => (await connection(requester, gone.nodeId)) === 'DISCONNECTED',
    'the cut is noticed',
  );
  if (gone === b) {
    const run = await requester.cli(['job', 'get', kept]);
    assert.equal(run.code, 1, said(run));
    assert.match(run.stderr, /node \S+ is not connected/);
  }
  await untilLocal(other, id, 'Running', 'execute');
  await completed(requester, id);
  const states = (await requester.executions(id)).map(({ state }) => state);
  assert.deepEqual(states, [Failed, Completed]);
  assert.equal(await runsOf(folder, 'moved'), 2, 'it could not be told to stop');

  await links[lost]?.mend();
  const late = await requester.waitUntil(
    async () => (await requester.history(id)).find(({ message }) => message.includes('It is not used')),
    'the late end is noted',
    40_000,
  );
  assert.match(late.message, /is back and tells of a run that was given up/);
  assert.equal((await requester.jobState(id)).state, 'Completed');
  assert.deepEqual(
    (await requester.executions(id)).map(({ state }) => state),
    states,
  );
  const ends = (await requester.history(id)).filter(
    (row) => row.type === 'JobLevel' && row.message === 'Completed',
  );
  assert.equal(ends.length, 1);
});

test('a node that takes asks and never answers is passed over', { timeout: 60_000 }, async (t) => {
  const silent = await wireNode(t);
  const [far = ''] = silent.host.addresses();
  const requester = await startTestNode(t, {
    flags: ['--node-type', 'requester', '--ask-timeout', '2s', '--peer', far],
  });
  await silent.linked(requester.nodeId);
  await silent.wire.send(requester.nodeId, { type: 'NodeInfo', info: nodeInfo({}, silent.id) });
  const id = await requester.submit(mockJob());
  const got = (type: string): boolean => silent.received.some(({ message }) => message.type === type);
  await requester.waitUntil(() => got('AskForBid'), 'it is asked');
  await startTestNode(t, {
    flags: ['--node-type', 'compute', '--peer', requester.swarmAddresses[0] ?? ''],
  });
  await completed(requester, id);
  const withdrawn = (await requester.history(id)).find(({ message }) => message.startsWith('Ask withdrawn'));
  assert.match(withdrawn?.message ?? '', /gave no answer in 2s/);
  await requester.waitUntil(() => got('CancelExecution'), 'it is told that nobody waits for it');
});
