import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth, type HealthCheck, type Healthy } from '../../../src/capacity/health.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { recordingLogger } from '../../support/logs.ts';

/** A clock that stands still until it is told. */
function handClock(): { readonly clock: Clock; pass(ms: number): Promise<void> } {
  let now = 0;
  const timers = new Set<{ atMs: number; callback: () => void }>();
  return {
    clock: {
      nowMs: () => now,
      nowMicros: () => now * 1000,
      at: (atMs, callback) => {
        const timer = { atMs, callback };
        timers.add(timer);
        return { cancel: () => void timers.delete(timer) };
      },
    },
    pass: async (ms) => {
      now += ms;
      for (const timer of [...timers]) {
        if (timer.atMs > now || !timers.delete(timer)) continue;
        timer.callback();
      }
      await settle();
    },
  };
}

/** Lets every promise that can go on do so. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

interface Scripted extends HealthCheck {
  answer: () => Promise<boolean | string>;
  calls: number;
  running: number;
  mostRunning: number;
}

function scripted(name: string, kind: HealthCheck['kind'] = 'engine'): Scripted {
  const check: Scripted = {
    name,
    kind,
    everyMs: 1000,
    answer: () => Promise.resolve(true),
    calls: 0,
    running: 0,
    mostRunning: 0,
    check: async () => {
      check.calls += 1;
      check.running += 1;
      check.mostRunning = Math.max(check.mostRunning, check.running);
      try {
        return await check.answer();
      } finally {
        check.running -= 1;
      }
    },
  };
  return check;
}

function watch(checks: readonly HealthCheck[]) {
  const { clock, pass } = handClock();
  const { logger, lines } = recordingLogger();
  const told: Healthy[] = [];
  const health = createHealth({ checks, onChange: (healthy) => told.push(healthy) }, { clock, logger });
  return { health, pass, told, lines };
}

test('start ends with the first round and tells what is there, once', async () => {
  const docker = scripted('docker');
  docker.answer = () => Promise.resolve('no socket');
  const { health, told } = watch([
    docker,
    scripted('wasm'),
    scripted('ipfs', 'storage'),
    scripted('ipfs', 'publisher'),
  ]);
  await health.start();
  const expected = { engines: ['wasm'], storages: ['ipfs'], publishers: ['ipfs'] };
  assert.deepEqual(told, [expected]);
  assert.deepEqual(health.current(), expected);
  assert.deepEqual(health.reasons(), { 'engine docker': 'no socket' });
  await health.stop(0);
});

test('it comes and goes; a reason is said once', async () => {
  const docker = scripted('docker');
  const { health, pass, told, lines } = watch([docker]);
  await health.start();
  docker.answer = () => Promise.reject(new Error('connection refused'));
  await pass(1200);
  await pass(1200);
  await pass(1200);
  assert.equal(docker.calls, 4);
  assert.deepEqual(
    told.map((healthy) => healthy.engines),
    [['docker'], []],
  );
  assert.equal(lines.filter((line) => line['reason'] === 'connection refused').length, 1);
  docker.answer = () => Promise.resolve(false);
  await pass(1200);
  assert.equal(lines.filter((line) => line['level'] === 40).length, 2);
  docker.answer = () => Promise.resolve(true);
  await pass(1200);
  assert.deepEqual(told.at(-1)?.engines, ['docker']);
  assert.deepEqual(health.reasons(), {});
  await health.stop(0);
});

test('a check that hangs counts as failed at its deadline and is not joined by another', async () => {
  const docker = scripted('docker');
  docker.answer = () => new Promise(() => undefined);
  const { health, pass, told } = watch([docker, scripted('wasm')]);
  const started = health.start();
  await settle();
  assert.equal(told.length, 0);
  await pass(5000);
  await started;
  assert.deepEqual(told[0]?.engines, ['wasm']);
  assert.match(health.reasons()['engine docker'] ?? '', /no answer within 5000 ms/);
  await pass(1200);
  await pass(1200);
  assert.equal(docker.calls, 1);
  assert.equal(docker.mostRunning, 1);
  await health.stop(0);
});

test('checkNow joins a check that runs', async () => {
  const docker = scripted('docker');
  const { health } = watch([docker]);
  await Promise.all([health.checkNow(), health.checkNow()]);
  assert.equal(docker.calls, 1);
  await health.stop(0);
});

test('after stop nothing is checked, logged or told', async () => {
  const docker = scripted('docker');
  const { health, pass, told, lines } = watch([docker]);
  await health.start();
  docker.answer = () => new Promise(() => undefined);
  await pass(1200);
  await health.stop(0);
  await health.stop(0);
  const before = lines.length;
  await pass(60_000);
  assert.equal(docker.calls, 2);
  assert.equal(told.length, 1);
  assert.equal(lines.length, before);
});
