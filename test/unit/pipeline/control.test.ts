import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExecutionHeader } from '../../../src/core/item.ts';
import { Control, LAZY_RUNNING_MS } from '../../../src/pipeline/control.ts';
import type { Item, StopCause } from '../../../src/pipeline/item.ts';
import { type PipelineKit, pipelineKit } from '../../support/pipeline.ts';

const DEFAULT_MS = 600_000;

interface Setup extends PipelineKit {
  readonly control: Control;
  readonly stopped: { readonly id: string; readonly cause: StopCause }[];
  readonly long: string[];
  /** Cause of the last stop. */
  why(): string;
  /** An accepted execution that waits for capacity. */
  accepted(header?: Partial<ExecutionHeader>): Item;
}

function setup(defaultExecutionTimeoutMs = DEFAULT_MS): Setup {
  const kit = pipelineKit();
  const stopped: { id: string; cause: StopCause }[] = [];
  const long: string[] = [];
  const control = new Control(
    { defaultExecutionTimeoutMs },
    {
      clock: kit.clock,
      stop: ({ id }, cause) => void stopped.push({ id, cause }),
      onLongRun: ({ id }) => void long.push(id),
    },
  );
  return {
    ...kit,
    control,
    stopped,
    long,
    why: () => stopped.at(-1)?.cause.cause ?? '',
    accepted(header = {}) {
      const item = kit.item(header, { acceptTime: kit.clock.nowMs() * 1000 });
      item.station = 'admit';
      control.accepted(item);
      return item;
    },
  };
}

test('the queue clock ends what waits for capacity, and nothing that has got it', () => {
  const { accepted, stopped, why, clock } = setup();
  const waiting = accepted({ queueTimeoutMs: 5000 });
  const running = accepted({ queueTimeoutMs: 5000 });
  running.station = 'execute';
  clock.advance(4999);
  assert.deepEqual(stopped, []);
  clock.advance(1);
  assert.deepEqual(
    stopped.map(({ id }) => id),
    [waiting.id],
  );
  assert.match(why(), /queue timeout of 5s/);
});

test('the total clock counts from acceptance, over a restart too', () => {
  const { control, item, stopped, why, clock } = setup();
  const found = item({ totalTimeoutMs: 10_000 }, { acceptTime: (clock.nowMs() - 9000) * 1000 });
  control.accepted(found);
  clock.advance(999);
  assert.deepEqual(stopped, []);
  clock.advance(1);
  assert.match(why(), /total timeout of 10s/);
});

test('the execution clock starts with the job’s own code: its own time, or the node’s', () => {
  const { accepted, control, stopped, why, clock } = setup();
  const asked = accepted({ executionTimeoutMs: 1000 });
  const silent = accepted();
  clock.advance(DEFAULT_MS * 2);
  assert.deepEqual(stopped, [], 'waiting is not running');
  control.running(asked);
  control.running(silent);
  clock.advance(1000);
  assert.deepEqual(
    stopped.map(({ id }) => id),
    [asked.id],
  );
  assert.match(why(), /timed out: it took longer than 1s/);
  clock.advance(DEFAULT_MS);
  assert.deepEqual(
    stopped.map(({ id }) => id),
    [asked.id, silent.id],
  );
});

test('no timeout at all where the node has none', () => {
  const { accepted, control, stopped, clock } = setup(Number.POSITIVE_INFINITY);
  const item = accepted();
  control.running(item);
  clock.advance(LAZY_RUNNING_MS);
  assert.equal(clock.pendingTimers, 0);
  assert.deepEqual(stopped, []);
});

test('what has stopped has no clock any more: publishing may take its time', () => {
  const { accepted, control, stopped, clock } = setup();
  const item = accepted({ executionTimeoutMs: 1000, totalTimeoutMs: 2000 });
  control.running(item);
  control.ended(item);
  assert.equal(item.timers, undefined);
  clock.advance(DEFAULT_MS);
  assert.deepEqual(stopped, []);
});

test('only a run that lasts is told of', () => {
  const { accepted, control, long, clock } = setup();
  const [short, first, second] = [accepted(), accepted(), accepted()];
  control.running(short);
  control.running(first);
  clock.advance(LAZY_RUNNING_MS - 1);
  control.ended(short);
  control.running(second);
  clock.advance(1);
  assert.deepEqual(long, [first.id]);
  clock.advance(LAZY_RUNNING_MS);
  assert.deepEqual(long, [first.id, second.id]);
  clock.advance(LAZY_RUNNING_MS * 10);
  assert.deepEqual(long, [first.id, second.id], 'once');
});

test('a run that is told of while the node stops gets no clock', () => {
  const { accepted, control, long, clock } = setup();
  const item = accepted();
  control.stop();
  control.running(item);
  clock.advance(LAZY_RUNNING_MS * 2);
  assert.deepEqual(long, []);
  assert.equal(clock.pendingTimers, 0);
});
