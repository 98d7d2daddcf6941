import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { NODE_LABEL } from '../../src/engines/docker/labels.ts';
import type { TestNode, Wire } from './node.ts';
import { labelled } from './prometheus.ts';

/** An execution as its compute node holds it. */
export interface LocalExecution {
  readonly id: string;
  readonly jobId: string;
  readonly state: string;
  /** Where it stands; "" once it has ended. */
  readonly stage: string;
  readonly attempts: number;
  readonly comment: string;
}

/** The newest 1,000 executions that the compute role holds. */
export async function localExecutions(node: TestNode): Promise<readonly LocalExecution[]> {
  const { body } = await node.api('GET', '/api/v1/compute/executions?limit=1000');
  return ((body as Wire)['Items'] as readonly Record<string, string | number>[]).map((item) => ({
    id: String(item['ExecutionID']),
    jobId: String(item['JobID']),
    state: String(item['State']),
    stage: String(item['Stage']),
    attempts: Number(item['Attempts']),
    comment: String(item['Comment']),
  }));
}

/** The execution of a job that has one at this node. */
export async function localOf(node: TestNode, jobId: string): Promise<LocalExecution | undefined> {
  return (await localExecutions(node)).find((execution) => execution.jobId === jobId);
}

/** Waits until the job's execution is in `state`, and at `stage` if one is given. */
export function untilLocal(
  node: TestNode,
  jobId: string,
  state: string,
  stage?: string,
): Promise<LocalExecution> {
  return node.waitUntil(
    async () => {
      const found = await localOf(node, jobId);
      return found?.state === state && (stage === undefined || found.stage === stage) ? found : undefined;
    },
    `the execution of ${jobId} is ${state}${stage === undefined ? '' : ` at ${stage}`}`,
  );
}

/** What an account of the ledger holds now. */
export async function held(
  node: TestNode,
  account: 'promised' | 'used',
): Promise<Readonly<Record<string, number>>> {
  const rows = labelled(await node.metrics(), 'bacalhau_capacity').filter(
    ({ labels }) => labels['account'] === account,
  );
  return Object.fromEntries(rows.map(({ labels, value }) => [labels['resource'] ?? '', value]));
}

/** Why the node is not idle; undefined when it is: nothing in motion, nothing held, no folder of an execution left. */
export async function busyness(node: TestNode): Promise<string | undefined> {
  const metrics = await node.metrics();
  for (const name of ['bacalhau_stage_in_flight', 'bacalhau_stage_queue_depth']) {
    for (const { labels, value } of labelled(metrics, name)) {
      if (value !== 0) return `${name} of ${labels['stage']} is ${value}`;
    }
  }
  for (const { labels, value } of labelled(metrics, 'bacalhau_capacity')) {
    if (labels['account'] !== 'total' && value !== 0)
      return `${labels['account']} ${labels['resource']} is ${value}`;
  }
  const folders = await readdir(join(node.dataDir, 'executions'));
  return folders.length === 0 ? undefined : `folders are left: ${folders.join(', ')}`;
}

/** Waits until the node is idle. */
export async function untilIdle(node: TestNode, timeoutMs = 20_000): Promise<void> {
  let reason: string | undefined;
  await node
    .waitUntil(
      async () => {
        reason = await busyness(node);
        return reason === undefined;
      },
      'the node is idle',
      timeoutMs,
    )
    .catch((error: unknown) => {
      throw new Error(`${String(error)}: ${reason}`);
    });
}

/** Ids of the containers that carry the node's label, running or not. */
export async function containersOfNode(
  docker: Docker,
  nodeId: string,
  onlyRunning = false,
): Promise<readonly string[]> {
  const filters = { label: [`${NODE_LABEL}=${nodeId}`] };
  return (await docker.listContainers({ all: !onlyRunning, filters })).map(({ Id }) => Id);
}
