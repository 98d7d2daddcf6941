import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decideSlowly } from '../../../../../src/workers/bid/decide.ts';
import {
  type ExecProbeModules,
  type ExecProbeOptions,
  execProbe,
} from '../../../../../src/workers/bid/probes/exec.ts';
import { probePayload } from '../../../../../src/workers/bid/probes/payload.ts';
import type { AskedJob, SlowStrategy, Verdict } from '../../../../../src/workers/bid/strategy.ts';
import { BidTally } from '../../../../../src/workers/bid/tally.ts';
import { askedJob, OPTIONS } from '../../../../support/bid.ts';
import { temporaryFolder } from '../../../../support/folders.ts';
import { waitUntil } from '../../../../support/node.ts';
import { isAlive, probeHelper } from '../../../../support/probes.ts';

const job = askedJob();
const never = new AbortController().signal;

function probe(
  t: TestContext,
  command: string,
  change: Partial<ExecProbeOptions> = {},
  modules: Partial<ExecProbeModules> = {},
): SlowStrategy {
  const helper = modules.runner === undefined ? probeHelper(t) : undefined;
  return execProbe(
    {
      command,
      path: OPTIONS.probePath,
      probeTimeoutMs: 10_000,
      probeConcurrency: 64,
      probeOnError: 'transient',
      ...change,
    },
    {
      runner: () => {
        assert.ok(helper !== undefined);
        return helper;
      },
      tally: new BidTally(),
      payload: (asked) => probePayload(asked, OPTIONS),
      ...modules,
    },
  );
}

function refusal(verdict: Verdict): Extract<Verdict, { kind: 'no' }> {
  assert.equal(verdict.kind, 'no', JSON.stringify(verdict));
  if (verdict.kind !== 'no') throw new Error('not refused');
  return verdict;
}

test('exit code 0 accepts; any other refuses, with the last line of stderr', async (t) => {
  assert.deepEqual(await probe(t, 'exit 0').decide(job, never), { kind: 'yes' });
  const one = refusal(await probe(t, 'exit 1').decide(job, never));
  assert.equal(one.reason, 'accept jobs where external command "exit 1" returns exit code 1');
  assert.deepEqual([one.verbatim, one.final, one.code], [undefined, undefined, undefined]);
  const words = refusal(
    await probe(t, 'echo first >&2; printf "\\033[31mno GPUs\\tleft\\033[0m\\n\\n" >&2; exit 3').decide(
      job,
      never,
    ),
  );
  assert.deepEqual([words.reason, words.verbatim], ['no GPUs left', true]);
  const killed = refusal(await probe(t, 'kill -TERM $$').decide(job, never));
  assert.match(killed.reason, /is ended by SIGTERM$/);
});

test('the reason is the end of stderr, however long that is, and bounded itself', async (t) => {
  const long = refusal(
    await probe(t, 'yes chatter | head -c 1000000 >&2; echo the reason >&2; exit 1').decide(job, never),
  );
  assert.equal(long.reason, 'the reason');
  const line = refusal(
    await probe(t, 'head -c 100000 /dev/zero | tr "\\0" x >&2; exit 1').decide(job, never),
  );
  assert.equal(line.reason.length, 1024);
});

test('the job is on stdin and, byte for byte, in the environment, which holds nothing else', async (t) => {
  const folder = await temporaryFolder(t);
  const script = `cat > '${folder}/stdin'; cat /proc/$$/environ > '${folder}/environ'`;
  await probe(t, script).decide(job, never);
  const stdin = await readFile(join(folder, 'stdin'), 'utf8');
  assert.deepEqual(JSON.parse(stdin), JSON.parse(new TextDecoder().decode(probePayload(job, OPTIONS))));
  assert.equal(stdin.endsWith('}'), true);
  const variables = (await readFile(join(folder, 'environ'), 'utf8'))
    .split('\0')
    .filter((text) => text !== '');
  assert.deepEqual(variables.map((text) => text.slice(0, text.indexOf('='))).sort(), [
    'BACALHAU_JOB_SELECTION_PROBE_DATA',
    'PATH',
  ]);
  assert.equal(variables.find((text) => text.startsWith('BACALHAU_'))?.split(/=(.*)/s)[1], stdin);
});

test('/dev/stdin may be opened, more than once', async (t) => {
  const script = 'grep -q job_spec_vm /dev/stdin && grep -q node_id /dev/stdin';
  assert.deepEqual(await probe(t, script).decide(job, never), { kind: 'yes' });
});

test('nothing of the job reaches the command line', async (t) => {
  const folder = await temporaryFolder(t);
  const hostile = `$(touch ${folder}/a); \`touch ${folder}/b\`; '; touch ${folder}/c; '`;
  const asked = askedJob({ Engine: { Type: 'docker', Params: { Image: hostile, Entrypoint: [hostile] } } });
  const verdict = await probe(t, `tr -d '\\n' | grep -q 'touch'`).decide(asked, never);
  assert.equal(verdict.kind, 'yes');
  assert.deepEqual(readdirSync(folder), []);
});

function large(bytes: number): AskedJob {
  return askedJob({
    InputSources: [
      {
        Source: { Type: 'inline', Params: { URL: `data:,${'x'.repeat(bytes)}` } },
        Alias: '',
        Target: '/in',
      },
    ],
  });
}

test('10 MB: whole on stdin, not in the environment, and no error where it is never read', async (t) => {
  const asked = large(10_000_000);
  const bytes = probePayload(asked, OPTIONS).byteLength;
  const folder = await temporaryFolder(t);
  const script = `wc -c > '${folder}/count'; test -z "$BACALHAU_JOB_SELECTION_PROBE_DATA"`;
  assert.deepEqual(await probe(t, script).decide(asked, never), { kind: 'yes' });
  assert.equal(Number(await readFile(join(folder, 'count'), 'utf8')), bytes);
  assert.deepEqual(await probe(t, 'exit 0').decide(asked, never), { kind: 'yes' });
  assert.equal(refusal(await probe(t, 'echo no >&2; exit 1').decide(asked, never)).reason, 'no');
  // More than can ever be handed over is refused for good.
  assert.match(refusal(await probe(t, 'exit 0').decide(large(17_000_000), never)).reason, /cannot be shown/);
});

test('one that hangs is ended in its time, with its grandchildren, and puts the bid off', async (t) => {
  const folder = await temporaryFolder(t);
  const tally = new BidTally();
  const script = `sleep 600 & echo $! > '${folder}/grandchild'; (sleep 600 & echo $! > '${folder}/deep'; wait); wait`;
  const { reason, code, final } = refusal(
    await probe(t, script, { probeTimeoutMs: 400 }, { tally }).decide(job, never),
  );
  assert.deepEqual(
    [reason, code, final],
    ['know whether to accept the job: its exec probe has not answered in 400ms', 'probe_failed', false],
  );
  assert.equal(tally.failures('exec_probe', 'timeout'), 1);
  for (const name of ['grandchild', 'deep']) {
    const pid = Number(await readFile(join(folder, name), 'utf8'));
    await waitUntil(() => !isAlive(pid), `${name} ${pid} is gone`);
  }
});

test('a bid that is wanted no more ends its probe', async (t) => {
  const folder = await temporaryFolder(t);
  const controller = new AbortController();
  const strategy = probe(t, `echo $$ > '${folder}/pid'; sleep 600`);
  const deciding = decideSlowly([strategy], job, { signal: controller.signal, deadlineMs: 60_000 });
  const pid = await waitUntil(
    async () => Number(await readFile(join(folder, 'pid'), 'utf8').catch(() => '')) || undefined,
    'the probe runs',
  );
  controller.abort();
  await deciding;
  await waitUntil(() => !isAlive(pid), `${pid} is gone`);
});

test('one that cannot be started never accepts; what that means is the operator’s', async (t) => {
  const tally = new BidTally();
  const missing = refusal(await probe(t, '/nonexistent/probe.sh', {}, { tally }).decide(job, never));
  assert.deepEqual([missing.code, missing.final], ['probe_failed', false]);
  assert.match(missing.reason, /cannot be started \(exit code 127\): .*nonexistent/);
  const forbidden = refusal(
    await probe(t, '/etc/passwd', { probeOnError: 'reject' }, { tally }).decide(job, never),
  );
  assert.deepEqual([forbidden.code, forbidden.final], ['probe_failed', true]);
  assert.equal(tally.failures('exec_probe', 'start'), 2);
  assert.equal(tally.durations('exec_probe').count, 2);
});

test('without bash it is sh; without a shell the bid is put off', async (t) => {
  const folder = await temporaryFolder(t);
  const bin = join(folder, 'bin');
  await mkdir(bin);
  await symlink('/bin/sh', join(bin, 'sh'));
  const strategy = probe(t, 'test -z "$BASH_VERSION"', { path: bin });
  assert.deepEqual(await strategy.decide(job, never), { kind: 'yes' });
  assert.deepEqual(await strategy.decide(job, never), { kind: 'yes' });
  const none = refusal(await probe(t, 'exit 0', { path: folder }).decide(job, never));
  assert.deepEqual([none.code, none.final], ['probe_failed', false]);
});

test('a script with arguments, found through the PATH of the node', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(
    join(folder, 'my-probe'),
    '#!/bin/sh\ngrep -q "\\"$1\\"" || { echo "not $1" >&2; exit 2; }\n',
  );
  await chmod(join(folder, 'my-probe'), 0o755);
  const path = `${folder}:${OPTIONS.probePath}`;
  assert.deepEqual(await probe(t, 'my-probe docker', { path }).decide(job, never), { kind: 'yes' });
  assert.equal(refusal(await probe(t, 'my-probe wasm', { path }).decide(job, never)).reason, 'not wasm');
});

test('past the cap a bid is put off within milliseconds; afterwards there is room again', async (t) => {
  const tally = new BidTally();
  const helper = probeHelper(t);
  const modules = { runner: () => helper, tally };
  const strategy = probe(t, 'sleep 600', { probeConcurrency: 4, probeTimeoutMs: 500 }, modules);
  const options = { signal: never, deadlineMs: 5000 };
  const hanging = Array.from({ length: 4 }, () => decideSlowly([strategy], job, options));
  assert.equal(tally.running('exec_probe'), 4);
  const startedAt = performance.now();
  const refused = await Promise.all(
    Array.from({ length: 496 }, () => decideSlowly([strategy], job, options)),
  );
  const tookMs = performance.now() - startedAt;
  for (const decision of refused) {
    assert.equal(
      decision.kind === 'reject' && `${decision.code} ${decision.final}`,
      'probe_slots_full false',
    );
  }
  // All of them together: a single one takes microseconds.
  assert.ok(tookMs < 250, `${tookMs} ms`);
  for (const decision of await Promise.all(hanging)) {
    assert.equal(decision.kind === 'reject' && decision.code, 'probe_failed');
  }
  assert.equal(tally.running('exec_probe'), 0);
  const well = probe(t, 'exit 0', { probeConcurrency: 4 }, modules);
  assert.deepEqual(await decideSlowly([well], job, options), { kind: 'bid' });
});

test('when the helper process dies, its probes are put off and the next ones run', async (t) => {
  const helper = probeHelper(t);
  const strategy = probe(
    t,
    'if [ -e /proc/$PPID ]; then kill -9 $PPID; sleep 600; fi',
    {},
    { runner: () => helper },
  );
  const lost = refusal(await strategy.decide(job, never));
  assert.deepEqual([lost.code, lost.final], ['probe_failed', false]);
  const again = probe(t, 'exit 0', {}, { runner: () => helper });
  assert.deepEqual(await again.decide(job, never), { kind: 'yes' });
});
