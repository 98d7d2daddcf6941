import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { temporaryFolder } from '../support/folders.ts';
import { mockJob } from '../support/jobs.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';

const POLICY = '/api/v1/compute/policy';

async function service(t: TestContext, body: string): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function explained(node: TestNode, file: string): Promise<Map<string, Wire>> {
  const { stdout, code, stderr } = await node.cli(['bid', 'explain', '--output', 'json', file]);
  assert.equal(code, 0, stderr);
  const strategies = (JSON.parse(stdout) as Wire)['Strategies'] as readonly Wire[];
  return new Map(strategies.map((row) => [String(row['Strategy']), row]));
}

test('bid explain runs the whole policy, and not the job', async (t) => {
  const folder = await temporaryFolder(t);
  const url = await service(t, '{"shouldWait":true,"reason":"ask Ann"}');
  const node = await startTestNode(t, {
    flags: [
      '--job-selection-probe-exec',
      'echo "no luck today" >&2; exit 1',
      '--job-selection-probe-http',
      url.replace('//', '//ann:hunter2@').concat('?key=hunter3'),
      '--job-selection-reject-stateless',
      '--limit-job-cpu',
      '10m',
    ],
  });
  const file = join(folder, 'job.yaml');
  await writeFile(file, stringify(mockJob({}, { resources: { CPU: '1', Memory: '4mb', Disk: '1mb' } })));
  const rows = await explained(node, file);
  assert.deepEqual(
    [...rows].map(([strategy, row]) => `${strategy} ${String(row['Verdict'])}`),
    [
      'networking yes',
      'timeout yes',
      'stateless no',
      'publisher yes',
      'storage yes',
      'engine yes',
      'locality not asked',
      'exec_probe no',
      'http_probe wait',
      'image_platform not asked',
      'max_capacity no',
      'no_room yes',
      'disk_low yes',
    ],
  );
  assert.equal(rows.get('exec_probe')?.['Reason'], 'no luck today');
  assert.ok(Number(rows.get('exec_probe')?.['Milliseconds']) > 0);
  const table = await node.cli(['bid', 'explain', file]);
  assert.match(table.stdout, /STRATEGY +VERDICT +TIME +REASON/);
  assert.match(
    table.stdout,
    /The node would refuse the job \(stateless\): this node does not accept jobs without any input volumes/,
  );
  const jobs = (await node.api('GET', '/api/v1/orchestrator/jobs')).body as Wire;
  assert.deepEqual(jobs['Items'] ?? [], []);
  assert.equal((await node.cli(['bid', 'explain', join(folder, 'nothing.yaml')])).code, 1);

  const config = await node.cli(['agent', 'config', '--output', 'yaml']);
  assert.match(config.stdout, /ProbeHTTP: http:\/\/\*+@127\.0\.0\.1:\d+\/\?key=\*+/);
  const shown = [
    config.stdout,
    JSON.stringify((await node.api('GET', POLICY)).body),
    String((await node.api('GET', '/metrics')).body),
    node.output.stdout + node.output.stderr,
  ];
  assert.doesNotMatch(shown.join('\n'), /hunter/);
});

test('a bid that waits: listed, approved and refused on the command line, over kill -9', async (t) => {
  const url = await service(t, '{"shouldWait":true,"reason":"ask Ann"}');
  const node = await startTestNode(t, { flags: ['--job-selection-probe-http', url] });
  const [yes, no] = [
    await node.submit(mockJob({}, { name: 'yes' })),
    await node.submit(mockJob({}, { name: 'no' })),
  ];
  const list = (): Promise<string> => node.cli(['node', 'bids']).then(({ stdout }) => stdout);
  await node.waitUntil(async () => (await list()).split('\n').length >= 4, 'both wait');
  assert.match(await list(), /SINCE +UNTIL +ID +JOB ID +JOB +APPROVED +REASON\s+\n.*yes +no +ask Ann/);
  assert.match((await node.jobState(yes)).message, /^Waiting for approval on/);
  const approved = await node.cli(['bid', 'approve', yes]);
  assert.match(approved.stdout, /^e-\S+: offered\n$/);
  await node.kill9();
  await node.restart();
  assert.equal((await node.waitForJob(yes)).state, 'Completed');
  assert.doesNotMatch(await list(), /\byes\b/);
  const refused = await node.cli(['bid', 'reject', '--reason', 'too late', no]);
  assert.match(refused.stdout, /: refused\n$/);
  assert.match((await node.waitForJob(no)).message, /: too late$/);
  assert.match((await node.cli(['bid', 'reject', no])).stdout, /decided before/);
});

test('the policy changes over the API and by SIGHUP, without a restart', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'config.yaml');
  const write = (admission: Wire): Promise<void> =>
    writeFile(file, stringify({ JobAdmissionControl: admission }));
  await write({ RejectStatelessJobs: true });
  const node = await startTestNode(t, { flags: ['--config', file] });
  const run = async (): Promise<{ state: string; message: string }> =>
    node.waitForJob(await node.submit(mockJob()));
  assert.match((await run()).message, /without any input volumes/);

  const put = await node.api('PUT', POLICY, { JobAdmissionControl: { RejectStatelessJobs: false } });
  assert.equal(put.status, 200);
  const admission = (put.body as Record<string, Wire>)['JobAdmissionControl'];
  assert.equal(admission?.['RejectStatelessJobs'], false);
  assert.equal((await run()).state, 'Completed');
  const config = (await node.api('GET', '/api/v1/agent/config')).body as Record<string, Record<string, Wire>>;
  assert.equal(config['config']?.['JobAdmissionControl']?.['RejectStatelessJobs'], false);

  for (const [change, fault] of [
    [{ 'JobAdmissionControl.ProbeExec': 'touch /tmp/x' }, /config file and send the node SIGHUP/],
    [
      { JobAdmissionControl: { RejectStateless: true } },
      /did you mean "JobAdmissionControl.RejectStatelessJobs"/,
    ],
    [{ 'JobAdmissionControl.ProbeHTTP': 'nonsense' }, /not a valid http\(s\) URL/],
    [{ 'JobAdmissionControl.Locality': 'here' }, /"here" is not one of local, anywhere/],
    [{ 'Compute.JobTimeouts.Min': '2h', 'Compute.JobTimeouts.Max': '1h' }, /below the shortest/],
    [{ 'Compute.JobTimeouts.Default': '1h' }, /while the node runs/],
  ] as const) {
    const refused = await node.api('PUT', POLICY, change);
    assert.equal(refused.status, 400);
    assert.match(String((refused.body as Wire)['Message']), fault);
  }
  assert.equal((await run()).state, 'Completed');

  // A probe that did not exist when the node started; what was changed over the API is the file's word again.
  await write({ ProbeExec: 'echo "closed for lunch" >&2; exit 1' });
  process.kill(node.pid, 'SIGHUP');
  await node.waitUntil(
    async () => (await run()).message.includes('closed for lunch'),
    'the new probe decides',
  );
  await write({ ProbeOnError: 'maybe' });
  process.kill(node.pid, 'SIGHUP');
  await node.waitUntil(() => node.output.stderr.includes('the policy is as before'), 'the fault is told');
  assert.match(node.output.stderr, /"maybe" is not one of reject, transient/);
  assert.match((await run()).message, /closed for lunch/);
  await write({});
  process.kill(node.pid, 'SIGHUP');
  await node.waitUntil(async () => (await run()).state === 'Completed', 'without a probe again');
});
