import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/folders.ts';
import { mockJob } from '../support/jobs.ts';
import { startTestNode, type TestNode, waitUntil } from '../support/node.ts';
import { marked } from '../support/probes.ts';

async function service(t: TestContext, handle: RequestListener): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Descendants of a process, by their command lines. */
function descendants(pid: number, found = new Map<number, string>()): Map<number, string> {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  const walk = (parent: number): void => {
    for (const [child, itsParent] of parents) {
      if (itsParent !== parent || found.has(child)) continue;
      try {
        found.set(child, readFileSync(`/proc/${child}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        continue;
      }
      walk(child);
    }
  };
  walk(pid);
  return found;
}

async function sample(node: TestNode, name: string): Promise<number> {
  return (await node.metrics()).get(name) ?? 0;
}

test('both probes must agree, and a refusal reaches the job’s history in the probe’s own words', async (t) => {
  const folder = await temporaryFolder(t);
  let answer: { status: number; body: string } = { status: 200, body: '' };
  const url = await service(t, (request, response) => {
    request.resume();
    response.writeHead(answer.status).end(answer.body);
  });
  const script = `test -e '${folder}/yes' || { echo 'no such luck' >&2; exit 1; }`;
  const node = await startTestNode(t, {
    flags: ['--job-selection-probe-exec', script, '--job-selection-probe-http', url],
  });
  const run = async (): Promise<{ state: string; message: string }> =>
    node.waitForJob(await node.submit(mockJob({ Stdout: 'x' })));

  const refused = await node.submit(mockJob());
  const first = await node.waitForJob(refused);
  assert.equal(first.state, 'Failed');
  assert.match(first.message, /not enough nodes to run job\..*\n• Node \S+: no such luck/);
  const rows = await node.history(refused);
  const row = rows.find(({ details }) => details['RejectCode'] !== undefined);
  assert.deepEqual([row?.message, row?.details['RejectCode']], ['no such luck', 'exec_probe']);

  await writeFile(join(folder, 'yes'), '');
  assert.equal((await run()).state, 'Completed');
  answer = { status: 200, body: '{"shouldBid":false,"reason":"the service is closed"}' };
  assert.match((await run()).message, /: the service is closed/);
  await rm(join(folder, 'yes'));
  const both = await run();
  assert.equal(both.state, 'Failed');
  assert.match(both.message, /no such luck|the service is closed/);
  // The second yes may not have been heard: a final no ends the other probe.
  assert.ok((await sample(node, 'bacalhau_bid_verdicts_total{strategy="exec_probe",verdict="yes"}')) >= 1);
  assert.ok((await sample(node, 'bacalhau_probe_seconds_count{probe="http_probe"}')) >= 3);
});

test('a job that a probe could not decide on waits, and runs when the probe answers again', async (t) => {
  const folder = await temporaryFolder(t);
  const script = join(folder, 'probe.sh');
  const node = await startTestNode(t, {
    flags: ['--job-selection-probe-exec', `sh ${script}`],
  });
  await writeFile(script, 'sleep 600');
  await node.restart({
    flags: ['--job-selection-probe-exec', `sh ${script}`, '--job-selection-probe-timeout', '300ms'],
  });
  const id = await node.submit(mockJob());
  await node.waitUntil(
    async () =>
      (await sample(node, 'bacalhau_probe_failures_total{cause="timeout",probe="exec_probe"}')) > 0 ||
      (await sample(node, 'bacalhau_probe_failures_total{probe="exec_probe",cause="timeout"}')) > 0,
    'a probe has timed out',
  );
  assert.notEqual((await node.jobState(id)).state, 'Failed');
  await writeFile(script, 'exit 0');
  assert.equal((await node.waitForJob(id, 30_000)).state, 'Completed');
});

test('32 hanging probes slow no other bid; past the cap bids are put off at once; nothing is left', async (t) => {
  const folder = await temporaryFolder(t);
  const mark = `MARK=${folder}`;
  await writeFile(join(folder, 'closed'), '');
  const script = `if [ -e '${folder}/closed' ] && grep -q '"Name":"hang'; then export ${mark}; sleep 600 & wait; fi`;
  const node = await startTestNode(t, {
    flags: ['--job-selection-probe-exec', script, '--job-selection-probe-timeout', '3s'],
  });
  // The helper process and its first spawn are warm.
  await node.waitForJob(await node.submit(mockJob()));
  const capacity = [...(await node.metrics())].filter(([name]) => /account="(?:promised|used)"/.test(name));
  for (let hung = 0; hung < 32; hung += 1) await node.submit(mockJob({}, { name: `hang-${hung}` }));
  await node.waitUntil(() => marked(mark) >= 32, '32 probes hang, with a child each');
  const times: number[] = [];
  for (let other = 0; other < 10; other += 1) {
    const startedAt = performance.now();
    const { state } = await node.waitForJob(await node.submit(mockJob({ Duration: 0 })));
    times.push(performance.now() - startedAt);
    assert.equal(state, 'Completed');
  }
  times.sort((a, b) => a - b);
  t.diagnostic(`ten jobs beside 32 hanging probes: ${times.map((ms) => ms.toFixed(0)).join(', ')} ms each`);
  // Their own probe (two processes) and the polling of this test, on a busy machine.
  assert.ok((times[5] ?? 0) < 250, `median ${times[5]} ms`);
  const now = [...(await node.metrics())].filter(([name]) => /account="(?:promised|used)"/.test(name));
  assert.deepEqual(now, capacity);

  const startedAt = performance.now();
  const hung: string[] = [];
  for (let index = 32; index < 500; index += 1)
    hung.push(await node.submit(mockJob({}, { name: `hang-${index}` })));
  const perJobMs = (performance.now() - startedAt) / hung.length;
  assert.ok(perJobMs < 20, `${perJobMs} ms to submit a job`);
  const running = async (): Promise<number> => sample(node, 'bacalhau_probes_running{probe="exec_probe"}');
  await node.waitUntil(async () => (await running()) === 64, 'as many probes hang as may run');
  // They end in their time, and the jobs behind them go on as soon as the probe answers again.
  await rm(join(folder, 'closed'));
  for (const id of hung) assert.equal((await node.waitForJob(id, 60_000)).state, 'Completed');
  assert.equal(marked(mark), 0);

  await writeFile(join(folder, 'closed'), '');
  await node.submit(mockJob({}, { name: 'hang-last' }));
  await node.waitUntil(() => marked(mark) > 0, 'one more hangs');
  // A node that is killed leaves no probe behind either.
  await node.kill9();
  await waitUntil(() => marked(mark) === 0, 'all probes are gone');
  assert.equal(existsSync(`/proc/${node.pid}`) && descendants(node.pid).size > 0, false);
});
