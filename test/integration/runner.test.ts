import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../../src/core/outcome.ts';
import { BoundedQueue } from '../../src/pipeline/queue.ts';
import { StageRunner } from '../../src/pipeline/runner.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createStageMetrics, type StageMetrics } from '../../src/telemetry/metrics.ts';
import type { EchoInput } from '../support/workers/echo.worker.ts';

interface Entry {
  readonly id: string;
  readonly priority: number;
  readonly input: EchoInput;
}

interface Setup {
  readonly runner: StageRunner<Entry, EchoInput, unknown, string>;
  readonly outcomes: Map<string, Outcome<unknown>>;
  readonly metrics: StageMetrics;
  /** In their order: "text", or "text at the end" where the outcome followed at once. */
  readonly told: string[];
  /** Resolves with the outcome of an item. */
  outcome(id: string): Promise<Outcome<unknown>>;
  /** Resolves with the first report of an item. */
  report(id: string): Promise<string>;
}

function setup(options: { bound?: number; onThreadDeath?: 'again' | 'fail'; batches?: number }): Setup {
  const outcomes = new Map<string, Outcome<unknown>>();
  const waiting = new Map<string, (outcome: Outcome<unknown>) => void>();
  const reports = new Map<string, (report: string) => void>();
  const metrics = createStageMetrics('test');
  const told: string[] = [];
  const runner = new StageRunner<Entry, EchoInput, unknown, string>(
    {
      batchItems: 64,
      onThreadDeath: options.onThreadDeath ?? 'fail',
      toInput: (entry) => entry.input,
      pool: {
        name: 'test',
        file: new URL('../support/workers/echo.worker.ts', import.meta.url),
        minThreads: 1,
        maxThreads: 1,
        batchesPerThread: options.batches ?? 2,
        atomics: 'disabled',
        workerOptions: {},
      },
    },
    {
      queue: new BoundedQueue({ name: 'test', bound: options.bound ?? 1000 }),
      metrics,
      logger: createLogger({ level: 'silent', mode: 'json', colour: false }),
      onOutcome: (entry, outcome) => {
        assert.equal(outcomes.has(entry.id), false, `${entry.id} came back twice`);
        outcomes.set(entry.id, outcome);
        waiting.get(entry.id)?.(outcome);
      },
      onReport: (entry, report, hasEnded) => {
        told.push(hasEnded ? `${report} at the end` : report);
        reports.get(entry.id)?.(report);
      },
    },
  );
  return {
    runner,
    outcomes,
    metrics,
    told,
    outcome: (id) =>
      new Promise((resolve) => {
        const known = outcomes.get(id);
        if (known === undefined) waiting.set(id, resolve);
        else resolve(known);
      }),
    report: (id) => new Promise((resolve) => reports.set(id, resolve)),
  };
}

test('every item comes back once, batched under load, off the main thread', async () => {
  const { runner, outcomes, metrics, outcome } = setup({});
  for (let index = 0; index < 500; index += 1) {
    assert.equal(runner.offer({ id: `i${index}`, priority: 0, input: { do: 'echo', value: index } }), true);
  }
  for (let index = 0; index < 500; index += 1) {
    assert.deepEqual(await outcome(`i${index}`), { kind: 'advance', value: index });
  }
  assert.equal(outcomes.size, 500);
  assert.equal(metrics.in, 500);
  assert.ok(metrics.batches.count < 100, `${metrics.batches.count} batches for 500 items`);
  assert.equal(metrics.threads.has(0), false);
  await runner.stop();
});

test('a full queue refuses', async () => {
  const { runner, metrics, outcome } = setup({ bound: 2 });
  const offered = ['a', 'b', 'c'].map((id) =>
    runner.offer({ id, priority: 0, input: { do: 'echo', value: 1 } }),
  );
  assert.deepEqual(offered, [true, true, false]);
  assert.equal(metrics.refused, 1);
  await outcome('b');
  assert.equal(metrics.highWater, 2);
  await runner.stop();
});

test('what a handler throws is a failure of its item alone', async () => {
  const { runner, outcome } = setup({});
  runner.offer({ id: 'bad', priority: 0, input: { do: 'throw', text: 'no such thing' } });
  runner.offer({ id: 'good', priority: 0, input: { do: 'echo', value: 1 } });
  assert.deepEqual(await outcome('bad'), {
    kind: 'fail',
    error: { code: 'Internal', message: 'no such thing' },
  });
  assert.equal((await outcome('good')).kind, 'advance');
  await runner.stop();
});

test('what a short run reports comes with its outcome, what a long one reports comes before', async () => {
  const { runner, outcome, told } = setup({});
  runner.offer({ id: 'short', priority: 0, input: { do: 'report', waitMs: 0 } });
  await outcome('short');
  assert.deepEqual(told.splice(0), ['first at the end', 'second at the end']);
  runner.offer({ id: 'long', priority: 0, input: { do: 'report', waitMs: 50 } });
  await outcome('long');
  assert.deepEqual(told, ['first', 'second at the end']);
  await runner.stop();
});

test('a kill reaches a running item', async () => {
  const { runner, outcome, report } = setup({});
  const waiting = report('w');
  runner.offer({ id: 'w', priority: 0, input: { do: 'wait-for-kill' } });
  await waiting;
  assert.equal(runner.kill('w', 'timeout', 'took too long'), true);
  const ended = await outcome('w');
  assert.equal(ended.kind, 'cancelled');
  assert.match(JSON.stringify(ended), /took too long/);
  assert.equal(runner.kill('w', 'timeout', 'again'), false);
  await runner.stop();
});

test('items of a dead thread fail as retryable, and the next thread goes on', async () => {
  const { runner, outcome } = setup({});
  runner.offer({ id: 'dies', priority: 0, input: { do: 'exit' } });
  const died = await outcome('dies');
  assert.equal(died.kind === 'fail' && died.error.code, 'ExecutionLost');
  runner.offer({ id: 'after', priority: 0, input: { do: 'echo', value: 2 } });
  assert.deepEqual(await outcome('after'), { kind: 'advance', value: 2 });
  await runner.stop();
});

test('where handling changes nothing outside, items of a dead thread are tried once more', async () => {
  const { runner, outcome, metrics } = setup({ onThreadDeath: 'again' });
  runner.offer({ id: 'dies', priority: 0, input: { do: 'exit' } });
  const died = await outcome('dies');
  assert.equal(died.kind === 'fail' && died.error.code, 'ExecutionLost');
  assert.equal(metrics.batches.count, 2);
  await runner.stop();
});

test('a live setting reaches threads that start after it was set', async () => {
  const { runner, outcome } = setup({});
  runner.control({ kind: 'live', name: 'x', value: 'set' });
  runner.offer({ id: 'l', priority: 0, input: { do: 'live' } });
  assert.deepEqual(await outcome('l'), { kind: 'advance', value: 'set' });
  await runner.stop();
});
