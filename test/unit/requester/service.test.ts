import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import { shortId } from '../../../src/core/ids.ts';
import type { LogChunk, OpenedArchive, OutputPort } from '../../../src/core/ports.ts';
import type { HistoryQuery } from '../../../src/requester/service.ts';
import { checked, makeKit, NODE, nodeInfo, OUTPUT, told } from '../../support/requester/kit.ts';
import { turns } from '../../support/requester/manual-clock.ts';

const ALL: HistoryQuery = {
  since: 0,
  eventType: 'all',
  executionId: '',
  jobVersion: 0,
  allVersions: false,
  limit: 0,
  offset: 0,
};
const EXECUTIONS = { version: 0, allVersions: false, orderBy: '', reverse: false, limit: 0 };

function fails(code: string, message: RegExp | string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof NodeError);
    assert.equal(error.code, code);
    if (typeof message === 'string') assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  };
}

describe('look-ups', () => {
  it('take a name, a whole id, a prefix and a short form, right after the submission', async () => {
    const kit = await makeKit();
    const submitted = kit.requester.submit(checked({ Name: 'hello' }));
    const named = await kit.requester.job('hello', 'default');
    const { jobId } = await submitted;
    assert.equal(named.record.id, jobId);
    for (const text of ['hello', jobId, jobId.slice(0, 30), shortId(jobId)]) {
      assert.equal((await kit.requester.job(text, '')).record.id, jobId);
    }
    assert.equal((await kit.requester.job('hello', '')).spec.Name, 'hello');
  });

  it('say what is missing and what is not the only one', async () => {
    const kit = await makeKit();
    await assert.rejects(
      kit.requester.job('j-00000000', ''),
      fails('JobNotFound', 'job not found: j-00000000'),
    );
    await kit.requester.submit(checked());
    await kit.requester.submit(checked());
    await assert.rejects(
      kit.requester.job('j-', ''),
      fails('MultipleJobsFound', 'multiple jobs found for id j-'),
    );
    const other = await kit.requester.submit(checked({ Name: 'elsewhere', Namespace: 'team' }));
    await assert.rejects(kit.requester.job('elsewhere', 'default'), fails('JobNotFound', /elsewhere/));
    assert.equal((await kit.requester.job('elsewhere', 'team')).record.id, other.jobId);
    assert.throws(() => kit.requester.node('nobody'), fails('NodeNotFound', 'node not found: nobody'));
    assert.equal(kit.requester.node(NODE.slice(-8)).info.nodeId, NODE);
  });

  it('list jobs by label, order and page', async () => {
    const kit = await makeKit();
    const ids: string[] = [];
    for (let job = 0; job < 5; job += 1) {
      ids.push((await kit.requester.submit(checked({ Labels: { n: String(job) } }))).jobId);
    }
    const query = { namespace: '*', labels: [], offset: 0, limit: 2, orderBy: 'created_at', reverse: true };
    const page = await kit.requester.jobs(query);
    assert.deepEqual(
      page.items.map(({ record }) => record.id),
      [ids[4], ids[3]],
    );
    assert.equal(page.more, true);
    const some = await kit.requester.jobs({
      ...query,
      labels: ['n in (1,2)', '!x'],
      reverse: false,
      limit: 9,
    });
    assert.deepEqual(
      some.items.map(({ record }) => record.id),
      [ids[1], ids[2]],
    );
    await assert.rejects(
      kit.requester.jobs({ ...query, orderBy: 'nonsense' }),
      fails('BadQuery', /nonsense/),
    );
    await assert.rejects(kit.requester.jobs({ ...query, labels: ['a b'] }), fails('BadQuery', /a b/));
  });
});

describe('history', () => {
  it('goes on while the job lives, and ends with its last row', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked());
    const first = await kit.requester.history(jobId, '', { ...ALL, limit: 1 });
    assert.deepEqual([first.items.length, first.nextOffset], [1, 1]);
    const second = await kit.requester.history(jobId, '', { ...ALL, offset: 1 });
    assert.deepEqual([second.items.length, second.nextOffset], [1, 2]);
    const nothing = await kit.requester.history(jobId, '', { ...ALL, offset: 2 });
    assert.deepEqual([nothing.items.length, nothing.nextOffset], [0, 2]);
    await turns();
    kit.node.onAccepted = (ask) => void kit.node.finish(ask);
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.node.bid(ask);
    await kit.requester.ended(jobId);
    const rest = await kit.requester.history(jobId, '', { ...ALL, offset: 2 });
    assert.deepEqual([rest.items.map(({ seqNum }) => seqNum), rest.nextOffset], [[3, 4, 5, 6], undefined]);
    const of = await kit.requester.history(jobId, '', { ...ALL, executionId: ask.executionId.slice(0, 25) });
    assert.deepEqual([of.items.map(({ seqNum }) => seqNum), of.nextOffset], [[2, 4, 5], undefined]);
    const jobs = await kit.requester.history(jobId, '', { ...ALL, eventType: 'job' });
    assert.deepEqual(
      jobs.items.map(({ seqNum }) => seqNum),
      [1, 3, 6],
    );
  });
});

describe('a job of the same name', () => {
  it('is refused when nothing is new, in the words of Bacalhau', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked({ Name: 'again' }));
    await assert.rejects(
      kit.requester.submit(checked({ Name: 'again', Meta: { 'bacalhau.org/client.instance.id': 'other' } })),
      fails('JobUnchanged', `no changes detected for new job spec. Job Name: 'again', Job Id: '${jobId}'`),
    );
    const forced = await kit.requester.submit(checked({ Name: 'again' }, true));
    assert.equal(forced.jobId, jobId);
    assert.equal((await kit.requester.job('again', '')).record.version, 2);
  });

  it('replaces the version before, and stops its executions', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked({ Name: 'again', cpu: '1' }));
    await turns();
    const [old] = kit.node.asks;
    assert.ok(old);
    await kit.node.bid(old);
    const both = [
      kit.requester.submit(checked({ Name: 'again', cpu: '2' })),
      kit.requester.submit(checked({ Name: 'again', cpu: '3' })),
    ];
    for (const answer of await Promise.all(both)) assert.equal(answer.jobId, jobId);
    await turns();
    const { record, spec } = await kit.requester.job('again', '');
    assert.equal(record.version, 3);
    assert.deepEqual([spec.ID, spec.Tasks[0].Resources.CPU], [jobId, '3']);
    assert.ok(kit.node.cancelled.includes(old.executionId));
    const versions = await kit.requester.versions('again', '');
    assert.deepEqual(
      versions.map((view) => [view.record.version, view.spec.Tasks[0].Resources.CPU]),
      [
        [1, '1'],
        [2, '2'],
        [3, '3'],
      ],
    );
    assert.ok((await told(kit, jobId)).includes('Scheduling: Execution stopped for job update'));
    kit.node.onAccepted = (ask) => void kit.node.finish(ask);
    const last = kit.node.asks.at(-1);
    assert.ok(last);
    assert.equal(last.jobVersion, 3);
    await kit.node.finish(old);
    assert.equal((await kit.requester.job('again', '')).record.state.type, 'Pending');
    await kit.node.bid(last);
    assert.equal((await kit.requester.ended(jobId)).state.type, 'Completed');
    assert.equal((await kit.requester.executions(jobId, '', EXECUTIONS)).length, 1);
    assert.equal((await kit.requester.executions(jobId, '', { ...EXECUTIONS, allVersions: true })).length, 3);
  });

  it('replaces one that waits for room, and one that has ended', async () => {
    const kit = await makeKit({ hello: false });
    const { jobId } = await kit.requester.submit(checked({ Name: 'again', cpu: '1' }));
    await kit.requester.submit(checked({ Name: 'again', cpu: '2' }));
    await turns();
    assert.equal(kit.store.blockedCount(), 1);
    kit.node.runAll();
    await kit.node.reply({ type: 'NodeInfo', info: nodeInfo() });
    await kit.requester.ended(jobId);
    assert.equal(kit.node.asks.length, 1);
    assert.equal(kit.node.asks[0]?.jobVersion, 2);
    await kit.requester.submit(checked({ Name: 'again', cpu: '3' }));
    assert.equal((await kit.requester.ended(jobId)).version, 3);
    assert.equal(kit.store.blockedCount(), 0);
  });

  it('can be compared before', async () => {
    const kit = await makeKit();
    await kit.requester.submit(checked({ Name: 'again', cpu: '1' }));
    const { diff } = await kit.requester.diff(checked({ Name: 'again', cpu: '2' }));
    assert.match(diff, /^- +"CPU": "1",$/m);
    assert.match(diff, /^\+ +"CPU": "2",$/m);
    assert.equal((await kit.requester.diff(checked({ Name: 'again', cpu: '1' }))).diff, '');
    await assert.rejects(kit.requester.diff(checked({ Name: 'new' })), fails('JobNotFound', /new/));
  });
});

describe('stop', () => {
  it('ends a running job and its execution, with the rows that Bacalhau writes', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.node.bid(ask);
    const { evaluationId } = await kit.requester.stop(jobId, '', 'Stopped at user request');
    assert.notEqual(evaluationId, '');
    const { record } = await kit.requester.job(jobId, '');
    assert.deepEqual(record.state, { type: 'Stopped', message: 'Stopped at user request' });
    assert.deepEqual((await told(kit, jobId)).slice(-2), [
      'Scheduling: Job requested to stop before completion',
      'Scheduling: Execution stop requested because job has been stopped',
    ]);
    await turns();
    assert.deepEqual(kit.node.cancelled, [ask.executionId]);
    const [execution] = await kit.requester.executions(jobId, '', EXECUTIONS);
    assert.equal(execution?.computeState.type, 'Cancelled');
    assert.deepEqual(await kit.requester.stop(jobId, '', 'again'), { evaluationId: '' });
    await kit.node.finish(ask);
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Stopped');
  });

  it('ends a job that waits', async () => {
    const kit = await makeKit({ hello: false });
    const { jobId } = await kit.requester.submit(checked());
    await kit.requester.stop(jobId, '', 'no need');
    await turns();
    assert.equal(kit.store.blockedCount(), 0);
    kit.node.runAll();
    await kit.node.reply({ type: 'NodeInfo', info: nodeInfo() });
    await turns();
    assert.equal(kit.node.asks.length, 0);
  });

  it('refuses a completed job and takes a failed one', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    const done = await kit.requester.submit(checked());
    await kit.requester.ended(done.jobId);
    await assert.rejects(
      kit.requester.stop(done.jobId, '', ''),
      fails('JobStateConflict', 'cannot stop job in state Completed'),
    );
    const failed = await kit.requester.submit(checked({ engine: 'none' }));
    assert.deepEqual(await kit.requester.stop(failed.jobId, '', 'x'), { evaluationId: '' });
    assert.equal((await kit.requester.job(failed.jobId, '')).record.state.type, 'Stopped');
  });
});

describe('rerun', () => {
  it('makes a new version, of an older spec where asked', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    const { jobId } = await kit.requester.submit(checked({ Name: 'again', cpu: '1' }));
    await kit.requester.ended(jobId);
    await kit.requester.submit(checked({ Name: 'again', cpu: '2' }));
    await kit.requester.ended(jobId);
    const answer = await kit.requester.rerun('again', '', 1, 'once more');
    assert.deepEqual([answer.jobId, answer.jobVersion], [jobId, 3]);
    await kit.requester.ended(jobId);
    assert.equal((await kit.requester.job(jobId, '')).spec.Tasks[0].Resources.CPU, '1');
    assert.ok((await told(kit, jobId)).includes('Submission: Job rerun requested'));
    await assert.rejects(kit.requester.rerun(jobId, '', 9, ''), fails('JobNotFound', /version 9/));
  });

  it('is refused before the job has run', async () => {
    const kit = await makeKit({ hello: false });
    const { jobId } = await kit.requester.submit(checked());
    await assert.rejects(
      kit.requester.rerun(jobId, '', 0, ''),
      fails('JobStateConflict', 'cannot rerun job in state Queued'),
    );
  });
});

describe('logs', () => {
  class Port implements OutputPort {
    chunks: LogChunk[] = [{ stream: 'stdout', text: 'live' }];
    knows = true;
    async *logs(executionId: string): AsyncGenerator<LogChunk> {
      if (!this.knows) throw new NodeError('ExecutionNotFound', `execution not found: ${executionId}`);
      yield* this.chunks;
    }
    openArchive(): Promise<OpenedArchive> {
      return Promise.reject(new Error('no archive'));
    }
  }
  const read = async (
    kit: Awaited<ReturnType<typeof makeKit>>,
    job: string,
    follow: boolean,
    execution = '',
    signal = new AbortController().signal,
  ): Promise<string> => {
    let text = '';
    for await (const chunk of kit.requester.logs(job, '', execution, { follow, tail: false }, signal))
      text += chunk.text;
    return text;
  };

  it('wait for the execution when followed right after the submission', async () => {
    const port = new Port();
    const kit = await makeKit({ outputs: port });
    const { jobId } = await kit.requester.submit(checked());
    const reading = read(kit, jobId, true);
    await turns();
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.node.bid(ask);
    assert.equal(await reading, 'live');
  });

  it('are those of one version where that is asked', async () => {
    const kit = await makeKit({ outputs: new Port() });
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.node.bid(ask);
    const ofVersion = async (jobVersion: number): Promise<string> => {
      const options = { follow: false, tail: false, jobVersion };
      let text = '';
      for await (const chunk of kit.requester.logs(jobId, '', '', options, new AbortController().signal)) {
        text += chunk.text;
      }
      return text;
    };
    assert.equal(await ofVersion(1), 'live');
    await assert.rejects(ofVersion(2), { code: 'ExecutionNotFound' });
  });

  it('say that there is nothing to read', async () => {
    const port = new Port();
    port.knows = false;
    const kit = await makeKit({ outputs: port });
    await assert.rejects(read(kit, 'j-00000000', false), fails('JobNotFound', 'job not found: j-00000000'));
    const { jobId } = await kit.requester.submit(checked());
    const start = `failed to open log stream for job ${jobId}: `;
    await assert.rejects(
      read(kit, jobId, false),
      fails('ExecutionNotFound', `${start}no executions found for job ${jobId}`),
    );
    await assert.rejects(
      read(kit, jobId, true, 'e-nothing'),
      fails('ExecutionNotFound', `${start}unable to find execution e-nothing in job ${jobId}`),
    );
    const following = assert.rejects(
      read(kit, jobId, true),
      fails('ExecutionNotFound', /no executions found/),
    );
    await turns();
    await kit.requester.stop(jobId, '', '');
    await following;
  });

  it('come from the result when the node has forgotten the execution', async () => {
    const port = new Port();
    port.knows = false;
    const kit = await makeKit({ outputs: port });
    kit.node.runAll();
    kit.node.onAccepted = (ask) => void kit.node.finish(ask, { ...OUTPUT, StdoutTruncated: true });
    const { jobId } = await kit.requester.submit(checked());
    await kit.requester.ended(jobId);
    assert.match(await read(kit, jobId, true), /^hi\n\n\[stdout is cut here: .*\]\n$/);
  });

  it('leave no reader behind', async () => {
    const kit = await makeKit({ outputs: new Port() });
    const { jobId } = await kit.requester.submit(checked());
    const gone = new AbortController();
    const reading = read(kit, jobId, true, '', gone.signal);
    await turns();
    gone.abort(new Error('the reader has gone'));
    await assert.rejects(reading, /the reader has gone/);
  });
});

describe('other types of job', () => {
  it('ops runs once on every node that matches', async () => {
    const kit = await makeKit();
    const far = { ...nodeInfo(), nodeId: 'far-node', labels: { zone: 'b' } };
    await kit.requester.handle('far-node', { type: 'NodeInfo', info: far });
    kit.node.runAll();
    const everywhere = await kit.requester.submit(checked({ Type: 'ops', Count: 0 }));
    assert.equal((await kit.requester.executions(everywhere.jobId, '', EXECUTIONS)).length, 2);
    const there = await kit.requester.submit(
      checked({ Type: 'ops', Count: 0, Constraints: [{ Key: 'zone', Operator: 'in', Values: ['b'] }] }),
    );
    const [only] = await kit.requester.executions(there.jobId, '', EXECUTIONS);
    assert.equal(only?.nodeId, 'far-node');
    await turns();
    assert.deepEqual(kit.delivery.debug()['unreachable'], { 'far-node': 2 });
    assert.equal(kit.store.outbox.pending('far-node', { limit: 9 }).length, 2);
  });

  it('daemon reaches nodes that join later, and never completes', async () => {
    const kit = await makeKit();
    kit.node.onAsk = (ask) => void kit.node.bid(ask);
    const { jobId } = await kit.requester.submit(checked({ Type: 'daemon', Count: 0 }));
    await turns();
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Running');
    await kit.requester.handle('far-node', { type: 'NodeInfo', info: { ...nodeInfo(), nodeId: 'far-node' } });
    const executions = await kit.requester.executions(jobId, '', EXECUTIONS);
    assert.deepEqual(executions.map(({ nodeId }) => nodeId).sort(), [NODE, 'far-node'].sort());
  });

  it('service starts again what ends', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    const { jobId } = await kit.requester.submit(checked({ Type: 'service', Count: 1 }));
    const record = await kit.requester.ended(jobId);
    assert.equal(record.state.type, 'Failed');
    assert.equal(kit.node.asks.length, 2);
    await assert.rejects(kit.requester.results(jobId, ''), fails('BadQuery', /service/));
  });

  it('a node that is rejected loses what it runs', async () => {
    const kit = await makeKit();
    kit.node.onAsk = (ask) => void kit.node.bid(ask);
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await kit.requester.setNode(NODE, 'reject', 'maintenance');
    await turns();
    assert.equal(kit.node.cancelled.length, 1);
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Failed');
    await assert.rejects(
      kit.requester.setNode(NODE, 'reject', ''),
      fails('NodeStateConflict', /already rejected/),
    );
    await kit.requester.setNode(NODE, 'approve', '');
    assert.equal(kit.requester.nodes()[0]?.membership, 'APPROVED');
  });
});
