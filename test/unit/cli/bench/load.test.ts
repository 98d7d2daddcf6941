import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LoadProgress, type LoadTime, runLoad } from '../../../../src/cli/bench/load.ts';
import { turns } from '../../../support/requester/manual-clock.ts';

/** Time that goes on when everything waits: the next timer's. */
class JumpingTime implements LoadTime {
  #now = 1000;
  readonly #timers: { readonly at: number; readonly run: () => void }[] = [];
  #isMoving = false;

  now(): number {
    return this.#now;
  }

  wait(ms: number, woken: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      woken.addEventListener('abort', () => resolve(), { once: true });
      if (woken.aborted) resolve();
      this.after(ms, resolve);
    });
  }

  after(ms: number, run: () => void): void {
    this.#timers.push({ at: this.#now + Math.max(0.01, ms), run });
    void this.#move();
  }

  /** The loop was held up. */
  stall(ms: number): void {
    this.#now += ms;
  }

  async #move(): Promise<void> {
    if (this.#isMoving) return;
    this.#isMoving = true;
    for (;;) {
      await turns(4);
      this.#timers.sort((a, b) => a.at - b.at);
      const next = this.#timers.shift();
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#isMoving = false;
  }
}

interface Bench {
  readonly time: JumpingTime;
  readonly begun: number[];
  /** An operation that takes `ms`. */
  take(ms: number, outcome?: string): Promise<string>;
}

function bench(): Bench {
  const time = new JumpingTime();
  const begun: number[] = [];
  return {
    time,
    begun,
    take(ms, outcome = 'ok') {
      begun.push(time.now());
      return new Promise((resolve) => time.after(ms, () => resolve(outcome)));
    },
  };
}

const never = new AbortController().signal;

test('at a rate, each operation begins when it is due, whatever the others take', async () => {
  const { time, begun, take } = bench();
  const result = await runLoad(
    { pace: { kind: 'rate', perSecond: 100 }, durationMs: 1000, warmUpMs: 0 },
    { operate: () => take(35), signal: never, time },
  );
  assert.equal(result.begun, 100);
  for (const [index, at] of begun.entries())
    assert.ok(Math.abs(at - (1000 + index * 10)) < 1, `${index}: ${at}`);
  assert.deepEqual([result.unanswered, result.notBegun, result.isInterrupted], [0, 0, false]);
  assert.deepEqual([...result.outcomes], [['ok', 100]]);
  assert.ok(Math.abs(result.latencies.at(0.5) - 35) < 0.2, String(result.latencies.at(0.5)));
  assert.ok(Math.abs(result.seconds - 1.025) < 0.01, String(result.seconds));
});

test('a stall counts for all that were due in it, not only for the one that met it', async () => {
  const { time, take } = bench();
  let count = 0;
  const result = await runLoad(
    { pace: { kind: 'rate', perSecond: 100 }, durationMs: 1000, warmUpMs: 0 },
    {
      operate: () => {
        count += 1;
        // The server, and with it this process, stands still for half of the time.
        if (count === 50) time.stall(500);
        return take(1);
      },
      signal: never,
      time,
    },
  );
  assert.equal(result.begun, 100);
  // Due every 10 ms from 490 on and begun at about 990: 500, 490, … are what their users waited.
  assert.ok(result.latencies.at(0.75) > 200, String(result.latencies.at(0.75)));
  assert.ok(result.latencies.at(0.45) < 5, String(result.latencies.at(0.45)));
  assert.ok(result.latencies.summary().max > 480);
});

test('a stall at the end: what was due in it begins all the same, late', async () => {
  const { time, take } = bench();
  let count = 0;
  const result = await runLoad(
    { pace: { kind: 'rate', perSecond: 100 }, durationMs: 1000, warmUpMs: 0 },
    {
      operate: () => {
        count += 1;
        if (count === 80) time.stall(500);
        return take(1);
      },
      signal: never,
      time,
    },
  );
  assert.deepEqual([result.begun, result.notBegun, result.unanswered], [100, 0, 0]);
  assert.ok(result.latencies.summary().max > 450);
});

test('a timer that is a little late is not the answer’s fault', async () => {
  const { time, take } = bench();
  const result = await runLoad(
    { pace: { kind: 'rate', perSecond: 100 }, durationMs: 200, warmUpMs: 0 },
    {
      operate: () => take(1),
      signal: never,
      time: { now: () => time.now(), wait: (ms, woken) => time.wait(ms + 1.5, woken) },
    },
  );
  assert.ok(result.latencies.summary().max < 1.1, String(result.latencies.summary().max));
});

test('answers too slow for the rate: what is under way is bounded, and what never began is told', async () => {
  const { time, take } = bench();
  const result = await runLoad(
    { pace: { kind: 'rate', perSecond: 10_000 }, durationMs: 1000, warmUpMs: 0 },
    { operate: () => take(100_000), signal: never, time },
  );
  assert.equal(result.begun, 4096);
  assert.equal(result.notBegun, 10_000 - 4096);
  assert.equal(result.unanswered, 4096);
});

test('in lanes, each answer is followed by the next, and never more are under way', async () => {
  const { time, take } = bench();
  let underWay = 0;
  let most = 0;
  const result = await runLoad(
    { pace: { kind: 'concurrency', lanes: 4 }, durationMs: 1000, warmUpMs: 0 },
    {
      operate: async () => {
        underWay += 1;
        most = Math.max(most, underWay);
        const outcome = await take(10);
        underWay -= 1;
        return outcome;
      },
      signal: never,
      time,
    },
  );
  assert.equal(most, 4);
  assert.ok(result.begun >= 396 && result.begun <= 400, String(result.begun));
  assert.equal(result.unanswered, 0);
});

test('the warm-up is not counted, and owes nothing', async () => {
  const { time, begun, take } = bench();
  const progress: Pick<LoadProgress, 'seconds' | 'warmingUp' | 'perSecond'>[] = [];
  const result = await runLoad(
    { pace: { kind: 'rate', perSecond: 100 }, durationMs: 2000, warmUpMs: 1500 },
    {
      operate: () => take(5),
      signal: never,
      time,
      onProgress: ({ seconds, warmingUp, perSecond }) =>
        void progress.push({ seconds, warmingUp, perSecond }),
    },
  );
  assert.equal(begun.length, 350);
  assert.equal(result.begun, 200);
  assert.equal(result.latencies.count, 200);
  assert.deepEqual(
    progress.map(({ warmingUp }) => warmingUp),
    [true, false, false],
  );
  for (const { perSecond } of progress) assert.ok(Math.abs(perSecond - 100) < 3, String(perSecond));
});

test('outcomes and faults are counted by name, in a bounded number of names', async () => {
  const { time, take } = bench();
  let count = 0;
  const result = await runLoad(
    { pace: { kind: 'concurrency', lanes: 1 }, durationMs: 1000, warmUpMs: 0 },
    {
      operate: () => {
        count += 1;
        if (count % 2 === 0) return Promise.reject(new Error(`fault ${count}`));
        return take(10, count % 4 === 1 ? 'ok' : 'refused (no_room)');
      },
      signal: never,
      time,
    },
  );
  assert.equal(result.outcomes.size, 17);
  assert.ok((result.outcomes.get('refused (no_room)') ?? 0) > 20);
  assert.ok((result.outcomes.get('other faults') ?? 0) > 20);
  const sum = [...result.outcomes.values()].reduce((all, one) => all + one, 0);
  assert.equal(sum, result.begun);
  assert.equal(result.latencies.count, result.outcomes.get('ok'));
});

test('an interrupt ends it at once, with what is known', async () => {
  for (const pace of [
    { kind: 'rate', perSecond: 100 },
    { kind: 'concurrency', lanes: 3 },
  ] as const) {
    const { time, take } = bench();
    const controller = new AbortController();
    time.after(500, () => controller.abort());
    const result = await runLoad(
      { pace, durationMs: 60_000, warmUpMs: 0 },
      { operate: () => take(20), signal: controller.signal, time },
    );
    assert.equal(result.isInterrupted, true);
    assert.ok(result.latencies.count > 40 && result.latencies.count < 80, String(result.latencies.count));
    assert.ok(result.unanswered > 0 && result.unanswered <= 3, String(result.unanswered));
    assert.equal(result.notBegun, 0);
  }
});
