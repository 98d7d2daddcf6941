import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { shortId } from '../../src/core/ids.ts';
import { containersOfNode, testDocker } from '../support/docker.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';
import {
  differences,
  loadRecordings,
  type RecordedExchange,
  recordingsFolder,
  type Tolerance,
} from '../support/recordings.ts';
import { suiteScope } from '../support/scope.ts';

/** The image of the recordings. */
const RECORDED_IMAGE = '127.0.0.1:5000/busybox:1';
const JOB_ID = /j-[0-9a-f]{8}-[0-9a-f-]{27}/;

/** A recorded run of commands around one job, in order, and the state the job has come to before each is asked. */
const SCENES: readonly (readonly [
  what: string,
  steps: readonly (readonly [file: string, state: string])[],
])[] = [
  [
    'a job that completes',
    [
      ['20-job-run', 'Completed'],
      ['23-job-describe', 'Completed'],
      ['25-job-executions', 'Completed'],
      ['27-job-history', 'Completed'],
      ['30-job-get', 'Completed'],
    ],
  ],
  [
    'a job whose command fails',
    [
      ['40-job-run-failing', 'Completed'],
      ['41-describe-failing', 'Completed'],
      ['42-history-failing', 'Completed'],
      ['43-executions-failing-json', 'Completed'],
      ['76-exec-filter', 'Completed'],
    ],
  ],
  ['a job that no node can run', [['44-job-run-unknown-engine', 'Failed']]],
  [
    'a job that runs',
    [
      ['60-job-run-nowait', ''],
      ['61-describe-running', 'Running'],
    ],
  ],
  [
    'a job that is stopped, and a new version of it',
    [
      ['63-job-run-nowait2', ''],
      ['64-stop', 'Running'],
      ['65-describe-stopped', 'Stopped'],
      ['66-history-stopped-json', 'Stopped'],
      ['69-new-version', 'Stopped'],
    ],
  ],
];

/** Ids, times and what depends on the machine; everything else must be the same. */
const TOLERANCE: Tolerance = {
  anyValue: new Set([
    ...[
      'ID',
      'JobID',
      'EvalID',
      'EvaluationID',
      'NodeID',
      'ExecutionID',
      'Name',
      'NextToken',
      'URL',
      'Image',
    ],
    ...['CreateTime', 'ModifyTime', 'Time', 'Timestamp'],
    'bacalhau.org/server.instance.id',
    'bacalhau.org/orchestrator.id',
    'bacalhau.org/requester.id',
  ]),
  extraKeys: new Set(),
  open: new Set(['AllocatedResources']),
};
/** Where we answer otherwise, and why. */
const DEVIATIONS: readonly RegExp[] = [
  // The original shows an execution's job as it was when it was asked for; we show it as it is.
  /^\$(?:\.Executions)?\.Items\[\d+\]\.Job\.(?:State|Revision)\b/,
  // Its requester hears that a command runs, and keeps "BidAccepted" (5) with the message "Running" to the end.
  /\.ComputeState\.Message: expected "Running", got "Completed successfully"$/,
  /\.ComputeState\.StateType: expected 5, got 6$/,
  // A job that cannot be placed is written once here, with its end.
  /^\$\.Job\.Revision: expected 2, got 1$/,
];

const recordings = loadRecordings();
const docker = testDocker();
const missing =
  recordings === undefined
    ? `no recordings at ${recordingsFolder}`
    : docker === undefined
      ? 'no Docker Engine'
      : '';
if (missing !== '') console.log(`SKIPPED: live answers against Bacalhau 1.9.3: ${missing}`);

describe('answers of a running node to what the CLI of Bacalhau 1.9.3 sent', {
  skip: missing || false,
}, () => {
  let node: TestNode;
  before(async () => {
    node = await startTestNode(scope, { env: { DOCKER_HOST: docker?.dockerHost ?? '' } });
  });

  after(async () => {
    // What was stopped is taken away before the node is.
    await node.waitUntil(
      async () => docker === undefined || (await containersOfNode(docker, node.nodeId)).length === 0,
      'no container is left',
    );
  });
  const scope = suiteScope();

  for (const [what, steps] of SCENES) {
    it(what, async () => {
      let id = '';
      for (const [file, state] of steps) {
        for (const exchange of (recordings ?? []).filter((one) => one.file === file)) {
          if (id !== '' && state !== '') {
            await node.waitUntil(() => hasCome(node, id, state), `${file}: ${state}`);
          }
          const answer = await ask(node, exchange, id);
          if (exchange.method === 'PUT') id = String(answer['JobID']);
          assert.deepEqual(
            compare(node, exchange, answer),
            [],
            `${file} ${exchange.method} ${exchange.path}`,
          );
        }
      }
      await node.cli(['job', 'stop', id]);
    });
  }
});

async function ask(node: TestNode, exchange: RecordedExchange, id: string): Promise<Wire> {
  const body = JSON.stringify(exchange.requestBody ?? null).replaceAll(RECORDED_IMAGE, docker?.image ?? '');
  const response = await fetch(`${node.apiUrl}${exchange.path.replace(JOB_ID, id)}`, {
    method: exchange.method,
    headers: exchange.requestHeaders,
    ...(exchange.method === 'GET' ? {} : { body }),
  });
  const text = await response.text();
  assert.equal(response.status, exchange.status, text);
  return JSON.parse(text) as Wire;
}

/** True when the job is in this state; of a running one, when its command runs. */
async function hasCome(node: TestNode, id: string, state: string): Promise<boolean> {
  if ((await node.jobState(id)).state !== state) return false;
  return state !== 'Running' || (await node.executions(id))[0]?.message === 'Running';
}

/** The text without the names of nodes and what is installed there. */
function neutral(text: string, nodeId: string): string {
  return text
    .replaceAll(/n-[0-9a-f]{8}(?:-[0-9a-f-]{27})?/g, '<node>')
    .replaceAll(nodeId, '<node>')
    .replaceAll(shortId(nodeId), '<node>')
    .replaceAll(/, only [a-z, ]+/g, ', only <engines>');
}

function compare(node: TestNode, exchange: RecordedExchange, answer: Wire): string[] {
  const plain = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (key, inner: unknown) => {
        // Numbers of a transport that is not ours.
        if (['LastComputeSeqNum', 'LastOrchestratorSeqNum'].includes(key)) return undefined;
        return typeof inner === 'string' ? neutral(inner, node.nodeId) : inner;
      }),
    );
  const found = differences(plain(exchange.responseBody), plain(answer), TOLERANCE);
  return found.filter((line) => !DEVIATIONS.some((known) => known.test(line)));
}
