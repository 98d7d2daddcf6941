import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Latencies } from '../../../../src/cli/bench/latencies.ts';
import type { LoadResult } from '../../../../src/cli/bench/load.ts';
import { type BenchReport, printReport, progressOf } from '../../../../src/cli/bench/report.ts';
import { testContext } from '../../../support/cli.ts';

function latenciesOf(values: readonly number[]): Latencies {
  const latencies = new Latencies();
  for (const value of values) latencies.record(value);
  return latencies;
}

function reportOf(latencies: Latencies, change: Partial<LoadResult> = {}): BenchReport {
  const load: LoadResult = {
    seconds: 2,
    latencies,
    outcomes: new Map([
      ['ok', latencies.count],
      ['refused (no_room)', 3],
    ]),
    begun: latencies.count + 4,
    unanswered: 1,
    notBegun: 0,
    isInterrupted: false,
    ...change,
  };
  return {
    bench: 'bid',
    title: 'Bids of a node',
    ok: 'offered',
    pace: { kind: 'rate', perSecond: 1000 },
    load,
    latencies,
    more: [{ key: 'Extra', value: 4, label: 'Something else', text: '4 of it' }],
    notes: ['A note.'],
  };
}

test('percentiles are right to three figures, and every latency is in one row', () => {
  const values = fc.array(fc.double({ min: 0.0005, max: 60_000, noNaN: true }), {
    minLength: 1,
    maxLength: 300,
  });
  fc.assert(
    fc.property(values, fc.constantFrom(0.5, 0.9, 0.99, 0.999, 1), (given, share) => {
      const latencies = latenciesOf(given);
      const sorted = given.toSorted((a, b) => a - b);
      // A rank that falls between two may be rounded either way.
      const rank = share * sorted.length;
      const low = sorted[Math.max(0, Math.floor(rank) - 1)] ?? 0;
      const high = sorted[Math.max(0, Math.ceil(rank) - 1)] ?? 0;
      const found = latencies.at(share);
      assert.ok(found >= low * 0.999 - 1e-6 && found <= high * 1.001 + 1e-6, `${low} ${found} ${high}`);
      const rows = latencies.rows();
      assert.ok(rows.length <= 12, String(rows.length));
      assert.equal(
        rows.reduce((sum, { count }) => sum + count, 0),
        given.length,
      );
      for (const [index, { fromMs, toMs, count }] of rows.entries()) {
        assert.ok(fromMs < toMs);
        if (index > 0) assert.equal(fromMs, rows[index - 1]?.toMs);
        const inside = given.filter((value) => value >= fromMs && value < toMs).length;
        // At an edge the last bit of a double decides.
        assert.ok(Math.abs(inside - count) <= 1, `${inside} ${count}`);
      }
    }),
  );
  const none = new Latencies();
  assert.deepEqual([none.at(0.5), none.rows(), none.summary().max], [0, [], 0]);
  const some = latenciesOf([1, 2]);
  some.clear();
  assert.deepEqual([some.count, some.at(0.5), some.rows()], [0, 0, []]);
});

test('for people: a line of what happened, percentiles, a picture', () => {
  const { context, printed } = testContext();
  const latencies = latenciesOf([
    ...Array.from({ length: 90 }, () => 0.5),
    ...Array.from({ length: 10 }, () => 12),
  ]);
  printReport(context, reportOf(latencies, { notBegun: 7, isInterrupted: true }), {});
  const text = printed.stdout;
  assert.match(
    text,
    /^Bids of a node, 1,000 a second\n51\.5 a second in 2\.0 s: 100 offered, 3 refused \(no_room\), 1 not answered\nSomething else: 4 of it\n/,
  );
  assert.match(text, / p50 +500 µs/);
  assert.match(text, / p99 +12\.0 ms/);
  const bars = text.split('\n').filter((line) => line.includes('█') || line.includes('▌'));
  assert.match(bars[0] ?? '', /^ +431 µs – 609 µs +█{40} 90$/);
  assert.match(bars.at(-1) ?? '', /^ +9\.74 ms – 13\.8 ms +█{4}▌ 10$/);
  assert.match(text, /7 were due and never begun/);
  assert.match(text, /Interrupted: these are the figures until then\.\nA note\.\n$/);
  assert.doesNotMatch(text, /\u001b/);
});

test('colours only where they are wanted', () => {
  const latencies = latenciesOf([1]);
  for (const [env, coloured] of [
    [{ FORCE_COLOR: '1' }, true],
    [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ] as const) {
    const { context, printed } = testContext({ env });
    printReport(context, reportOf(latencies), {});
    assert.equal(printed.stdout.includes('\u001b['), coloured);
  }
});

test('for programs: one document with the same figures', () => {
  const { context, printed } = testContext();
  printReport(context, reportOf(latenciesOf([1, 2, 3])), { output: 'json' });
  const document = JSON.parse(printed.stdout) as Record<string, unknown>;
  assert.deepEqual(document['Outcomes'], { offered: 3, 'refused (no_room)': 3 });
  const latency = document['LatencyMs'] as Record<string, number>;
  assert.deepEqual(
    Object.entries(latency).map(([name, ms]) => `${name} ${ms.toPrecision(3)}`),
    ['Count 3.00', 'Min 1.00', 'Mean 2.00', 'P50 2.00', 'P90 3.00', 'P99 3.00', 'P99.9 3.00', 'Max 3.00'],
  );
  assert.deepEqual(
    ['Rate', 'Seconds', 'PerSecond', 'Extra'].map((key) => document[key]),
    [1000, 2, 3, 4],
  );
  assert.equal((document['Histogram'] as unknown[]).length > 0, true);
});

test('progress: lines of plain text where nobody watches, one that changes on a terminal', () => {
  const now = {
    seconds: 3,
    warmingUp: false,
    perSecond: 1234,
    latencies: latenciesOf([1, 2, 3]),
    inFlight: 5,
  };
  const plain = testContext();
  const lines = progressOf(plain.context);
  lines.show(now);
  lines.show({ ...now, warmingUp: true, latencies: new Latencies() });
  lines.end();
  assert.equal(
    plain.printed.stderr,
    '3 s: 1,234 a second, p50 2.00 ms, p99 3.00 ms, 5 in flight\nwarming up: 1,234 a second, 5 in flight\n',
  );
  assert.equal(plain.printed.stdout, '');
});
