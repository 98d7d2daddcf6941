import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { changePolicy, type PolicyConfig, policyOf } from '../../../src/config/policy.ts';
import { NodeError } from '../../../src/core/errors.ts';
import { Policy } from '../../../src/node/policy.ts';
import { silentLogger } from '../../support/pipeline.ts';

const HTTP = 'http://ann:hunter2@127.0.0.1:1/probe?key=hunter3';

function given(flags: Record<string, string>): PolicyConfig {
  const argvFlags = Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, [value]]));
  return policyOf(loadConfig({ argvFlags, env: { HOME: '/nowhere' }, cwd: '/' }));
}

test('a change of one row leaves the others as they were written, secrets included', () => {
  const from = given({ 'job-selection-probe-http': HTTP, 'max-job-execution-timeout': '1h' });
  const { bid } = changePolicy(from, { 'jobadmissioncontrol.locality': 'anywhere' });
  assert.deepEqual([bid.probeHttp, bid.locality, bid.maxExecutionTimeoutMs], [HTTP, 'anywhere', 3_600_000]);
});

test('what is shown can be sent back, and changes nothing: no secret is overwritten by stars', () => {
  const from = given({ 'job-selection-probe-http': HTTP, 'job-selection-probe-exec': 'TOKEN=hunter4 probe' });
  let applied = from.bid;
  const policy = new Policy(from, {
    apply: (bid) => {
      applied = bid;
    },
    logger: silentLogger,
  });
  const shown = policy.tree() as Record<string, Record<string, unknown>>;
  assert.doesNotMatch(JSON.stringify(shown), /hunter/);
  const admission = shown['JobAdmissionControl'] ?? {};
  policy.change({
    'JobAdmissionControl.ProbeHTTP': String(admission['ProbeHTTP']),
    'JobAdmissionControl.ProbeExec': String(admission['ProbeExec']),
    'JobAdmissionControl.ProbeConcurrency': '7',
  });
  assert.deepEqual(
    [applied.probeHttp, applied.probeExec, applied.probeConcurrency],
    [HTTP, 'TOKEN=hunter4 probe', 7],
  );
  const change = (text: string): void => policy.change({ 'JobAdmissionControl.ProbeHTTP': text });
  assert.throws(
    () => change('ftp://ann:hunter5@host/'),
    (error: unknown) => error instanceof NodeError && !error.message.includes('hunter'),
  );
  change('');
  assert.equal(applied.probeHttp, '');
});
