import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { EXECUTION_ID, exampleNode, exampleSpec, JOB_ID } from '../../../support/api-doubles.ts';
import { Asker, raises } from '../../../support/ask.ts';

let asker: Asker;
let requester: Asker['requester'];
let compute: Asker['compute'];

const ask: Asker['ask'] = (...given) => asker.ask(...given);
const lastCall = (): unknown[] => asker.lastCall();

beforeEach(() => {
  asker = new Asker();
  ({ requester, compute } = asker);
});

describe('nodes', () => {
  const NODES = '/api/v1/orchestrator/nodes';
  const names = async (search: string): Promise<string[]> =>
    ((await ask('GET', NODES + search)).body as { Nodes: { Info: { NodeID: string } }[] }).Nodes.map(
      (n) => n.Info.NodeID,
    );

  beforeEach(() => {
    requester.known = (['a', 'b', 'c'] as const).map((nodeId, index) => ({
      info: {
        ...exampleNode,
        nodeId,
        labels: { zone: nodeId },
        compute:
          exampleNode.compute === null || nodeId === 'c'
            ? null
            : { ...exampleNode.compute, availableCapacity: { cpu: index + 1, memory: 0, disk: 0, gpu: 0 } },
        roles: { compute: nodeId !== 'c', requester: true },
      },
      membership: nodeId === 'b' ? 'PENDING' : 'APPROVED',
      connection: 'CONNECTED',
      lastHeartbeat: 0,
      connectedSince: 0,
      disconnectedSince: 0,
    }));
  });

  it('are filtered, ordered and cut', async () => {
    assert.deepEqual(await names(''), ['a', 'b', 'c']);
    assert.deepEqual(await names('?order_by=available_cpu'), ['b', 'a', 'c']);
    assert.deepEqual(await names('?order_by=id&reverse=true&limit=2'), ['c', 'b']);
    assert.deepEqual(await names('?filter-approval=approved&order_by=type'), ['a', 'c']);
    assert.deepEqual(await names('?labels=zone+in+(a,b)&labels=zone!=a'), ['b']);
    assert.deepEqual(await names('?filter-status=DISCONNECTED'), []);
    await assert.rejects(ask('GET', `${NODES}?order_by=age`), raises('BadQuery'));
  });

  it('without a compute role have empty capacities and are requesters', async () => {
    const { body } = await ask('GET', `${NODES}/c`);
    const { Node: node } = body as {
      Node: { Info: Record<string, unknown>; ConnectionState: Record<string, unknown> };
    };
    assert.equal(node.Info['NodeType'], 'Requester');
    assert.deepEqual((node.Info['ComputeNodeInfo'] as Record<string, unknown>)['MaxCapacity'], {});
    assert.equal(node.ConnectionState['LastHeartbeat'], '0001-01-01T00:00:00Z');
  });

  it('are approved by prefix', async () => {
    assert.deepEqual((await ask('PUT', `${NODES}/a`, { body: '{"action":"approve","message":"m"}' })).body, {
      Success: true,
    });
    assert.deepEqual(lastCall(), ['a', 'approve', 'm']);
    await assert.rejects(ask('PUT', `${NODES}/a`, { body: '{"Action":"burn"}' }), raises('MalformedBody'));
    await assert.rejects(ask('PUT', `${NODES}/zzz`, { body: '{"Action":"reject"}' }), raises('NodeNotFound'));
  });
});

describe('the compute node’s own view', () => {
  it('is filtered by state in any letter case', async () => {
    compute.views = [
      {
        executionId: EXECUTION_ID,
        jobId: JOB_ID,
        requesterId: 'r',
        state: 'Running',
        stage: 'execute',
        attempts: 1,
        createTime: 1,
        updateTime: 2,
        comment: '',
        job: exampleSpec(),
      },
    ];
    const { body } = await ask(
      'GET',
      '/api/v1/compute/executions?state=running,FAILED&state=Created&limit=7',
    );
    assert.deepEqual(compute.calls, [{ states: ['Running', 'Failed', 'Created'], limit: 7 }]);
    const { Items: items } = body as { Items: Record<string, unknown>[] };
    assert.deepEqual(Object.keys(items[0] ?? {}), [
      'ExecutionID',
      'JobID',
      'RequesterID',
      'State',
      'Stage',
      'Attempts',
      'Comment',
      'CreateTime',
      'UpdateTime',
      'Job',
    ]);
    await assert.rejects(ask('GET', '/api/v1/compute/executions?state=nope'), raises('BadQuery'));
  });
});
