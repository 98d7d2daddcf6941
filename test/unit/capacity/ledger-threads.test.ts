import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Ledger } from '../../../src/capacity/ledger.ts';
import { AMOUNT_BITS } from '../../../src/capacity/ledger-layout.ts';
import { Rest, steps } from '../../../src/capacity/ledger-steps.ts';
import type { Ticket } from '../../../src/capacity/ledger-view.ts';
import { AMOUNT_WORDS, AMOUNTS, ledgerWords, stateAfter } from '../../../src/capacity/ledger-words.ts';
import type { Resources } from '../../../src/core/job.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import type { HammerData } from '../../support/capacity/hammer.worker.ts';

const GB = 1024 ** 3;
const THREADS = 4;
const SHARED_TICKETS = 24;
const DIMENSIONS = ['cpu', 'memory', 'disk', 'gpu'] as const;
/** Long enough for hundreds of thousands of steps; raise it to look harder. */
const HAMMER_MS = Number(process.env['BACALHAU_TEST_HAMMER_MS'] ?? 1500);
const KILLS = Math.max(12, Math.floor(HAMMER_MS / 100));

const total: Resources = { cpu: 4, memory: 16 * GB, disk: 64 * GB, gpu: 4 };
const queue: Resources = { cpu: 8, memory: 32 * GB, disk: 128 * GB, gpu: 8 };

const requests: readonly Resources[] = [
  { cpu: 0.1, memory: GB / 2, disk: GB, gpu: 0 },
  { cpu: 1, memory: 3 * GB, disk: 0, gpu: 1 },
  { cpu: 0.5, memory: GB, disk: 20 * GB, gpu: 2 },
  { cpu: 3, memory: 12 * GB, disk: 8 * GB, gpu: 0 },
  { cpu: 0, memory: 0, disk: 0, gpu: 0 },
];

interface Hammering {
  readonly ledger: Ledger;
  readonly tickets: readonly Ticket[];
  readonly stop: Int32Array;
  readonly counts: Int32Array;
  start(writer: number): Worker;
}

function hammering(t: TestContext): Hammering {
  const ledger = new Ledger({ total, queue, slots: 64 });
  // Every ticket is known to all threads: they get in each other's way at each of them.
  const tickets = Array.from({ length: SHARED_TICKETS }, (_, index) => {
    const ticket = ledger.issue(requests[index % requests.length] ?? NO_RESOURCES);
    assert.ok(ticket !== undefined);
    return ticket;
  });
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const counts = new Int32Array(new SharedArrayBuffer(16));
  const workers = new Set<Worker>();
  t.after(() => Promise.all([...workers].map((worker) => worker.terminate())));
  let seed = 1;
  return {
    ledger,
    tickets,
    stop,
    counts,
    start(writer) {
      seed += 7919;
      const workerData: HammerData = { ledger: ledger.share(), writer, tickets, seed, stop, counts };
      const worker = new Worker(new URL('../../support/capacity/hammer.worker.ts', import.meta.url), {
        workerData,
      });
      workers.add(worker);
      return worker;
    },
  };
}

/** Each account is one word, so a look is never torn: it must be within its limits at any time. */
function look(ledger: Ledger): void {
  for (const [held, most, name] of [
    [ledger.used(), total, 'used'],
    [ledger.promised(), queue, 'promised'],
  ] as const) {
    for (const key of DIMENSIONS) {
      assert.ok(held[key] >= 0 && held[key] <= most[key], `${name} ${key}: ${held[key]} of ${most[key]}`);
    }
  }
}

/** Nobody is at work any more: the accounts are exactly what the tickets hold, and nothing when they are closed. */
function settleUp({ ledger, tickets }: Hammering): void {
  const promised = { ...NO_RESOURCES };
  const used = { ...NO_RESOURCES };
  const devices: number[] = [];
  for (const [index, ticket] of tickets.entries()) {
    const request = requests[index % requests.length] ?? NO_RESOURCES;
    const phase = ledger.phase(ticket);
    assert.ok(phase <= Rest.disk, `ticket ${index} is at rest, not at ${phase}`);
    for (const key of DIMENSIONS) {
      if (phase === Rest.leased || phase === Rest.accepted || phase === Rest.both)
        promised[key] += request[key];
      if (phase === Rest.both || phase === Rest.used || phase === Rest.assigned) used[key] += request[key];
      if (phase === Rest.disk && key === 'disk') used[key] += request[key];
    }
    devices.push(...ledger.devices(ticket));
  }
  for (const key of DIMENSIONS) {
    assert.ok(Math.abs(ledger.promised()[key] - promised[key]) < 1e-6, `promised ${key}`);
    assert.ok(Math.abs(ledger.used()[key] - used[key]) < 1e-6, `used ${key}`);
  }
  assert.equal(new Set(devices).size, devices.length, 'no device is given twice');
  for (const ticket of tickets) assert.equal(ledger.close(ticket), true);
  assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, NO_RESOURCES]);
  assert.equal(ledger.freeSlots, 64);
  // And all of the machine can be had again, devices included.
  const whole = ledger.reserve(total);
  assert.ok(whole !== undefined && ledger.accept(whole) && ledger.use(whole));
  assert.deepEqual(ledger.devices(whole), [0, 1, 2, 3]);
}

async function online(worker: Worker): Promise<void> {
  await new Promise((resolve) => worker.once('online', resolve));
}

async function ended(worker: Worker): Promise<number> {
  return new Promise((resolve) => worker.once('exit', resolve));
}

test('threads that reserve, use and release at once, at the same reservations', async (t) => {
  const hammer = hammering(t);
  const workers = Array.from({ length: THREADS }, (_, index) => hammer.start(index + 2));
  await Promise.all(workers.map(online));
  const until = performance.now() + HAMMER_MS;
  while (performance.now() < until) {
    for (let looks = 0; looks < 200; looks += 1) look(hammer.ledger);
    await delay(1);
  }
  Atomics.store(hammer.stop, 0, 1);
  assert.deepEqual(
    await Promise.all(workers.map(ended)),
    workers.map(() => 0),
  );
  const [leases = 0, uses = 0, refusals = 0] = hammer.counts;
  t.diagnostic(`${leases} leases, ${uses} uses, ${refusals} refusals`);
  assert.ok(leases > 1000 && uses > 1000 && refusals > 1000, 'they did get in each other’s way');
  settleUp(hammer);
});

test('threads that are terminated in the middle leak nothing: their item gives back', async (t) => {
  const hammer = hammering(t);
  const workers = new Map<number, Worker>();
  for (let writer = 2; writer < 2 + THREADS; writer += 1) workers.set(writer, hammer.start(writer));
  await Promise.all([...workers.values()].map(online));
  let undone = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const writer = 2 + (kill % THREADS);
    // Somewhere in the middle: what it does in this moment nobody knows.
    await delay(HAMMER_MS / KILLS);
    await workers.get(writer)?.terminate();
    const before = hammer.tickets.filter((ticket) => hammer.ledger.phase(ticket) > Rest.disk).length;
    hammer.ledger.reclaim(writer);
    if (before > 0) undone += 1;
    look(hammer.ledger);
    const next = hammer.start(writer);
    workers.set(writer, next);
    await online(next);
    look(hammer.ledger);
  }
  Atomics.store(hammer.stop, 0, 1);
  await Promise.all([...workers.values()].map(ended));
  t.diagnostic(`${KILLS} threads terminated, ${undone} looks found a step under way`);
  settleUp(hammer);
});

test('leases that end while threads accept and use them: one of the two happens, and nothing is lost', async (t) => {
  const hammer = hammering(t);
  const { ledger, tickets } = hammer;
  const workers = Array.from({ length: THREADS }, (_, index) => hammer.start(index + 2));
  await Promise.all(workers.map(online));
  // Leases last equally long, so the first that was seen leased is the first to end: a queue, no scan.
  const leased: { ticket: Ticket; endsMs: number }[] = [];
  const known = new Set<Ticket>();
  let expired = 0;
  const until = performance.now() + HAMMER_MS;
  while (performance.now() < until) {
    for (const ticket of tickets) {
      if (known.has(ticket) || ledger.phase(ticket) !== Rest.leased) continue;
      known.add(ticket);
      leased.push({ ticket, endsMs: performance.now() + 1 });
    }
    for (let first = leased[0]; first !== undefined && first.endsMs <= performance.now(); first = leased[0]) {
      leased.shift();
      known.delete(first.ticket);
      if (ledger.expire(first.ticket)) expired += 1;
      look(ledger);
    }
    await delay(1);
  }
  Atomics.store(hammer.stop, 0, 1);
  await Promise.all(workers.map(ended));
  t.diagnostic(`${expired} leases ended, ${hammer.counts[1]} uses`);
  assert.ok(expired > 10 && (hammer.counts[1] ?? 0) > 100);
  settleUp(hammer);
});

/** A thread dies at each point of each step: made by hand, as nobody can hit them all. */
test('a step that was decided is completed for the dead, one that was not is undone', () => {
  for (const decided of [false, true]) {
    const ledger = new Ledger({ total, queue, slots: 4 });
    const ticket = ledger.issue(total) ?? 0;
    const stub = new DyingView(ledger, 5);
    stub.dieIn(ticket, decided);
    look(ledger);
    assert.equal(ledger.promised().cpu, decided ? total.cpu : 0);
    // Another thread meets the tag and goes on as if nothing had happened.
    const other = ledger.issue({ ...NO_RESOURCES, cpu: 1 }) ?? 0;
    assert.equal(ledger.lease(other), true);
    assert.equal(ledger.close(ticket), decided, 'not while the dead one is in it');
    ledger.reclaim(5);
    assert.equal(ledger.close(ticket), true);
    ledger.close(other);
    assert.deepEqual(ledger.promised(), NO_RESOURCES);
  }
});

/** Writes what a thread has written when it dies within `lease`. */
class DyingView {
  readonly #ledger: Ledger;
  readonly #writer: number;

  constructor(ledger: Ledger, writer: number) {
    this.#ledger = ledger;
    this.#writer = writer;
  }

  dieIn(ticket: Ticket, decided: boolean): void {
    const { accounts, states, intents, slot } = this.#words(ticket);
    Atomics.store(intents, this.#writer, slot);
    const state = Atomics.load(states, slot);
    Atomics.store(states, slot, stateAfter(state, this.#writer, steps.lease.phase));
    if (!decided) return;
    const units = Atomics.load(this.#words(ticket).amounts, slot * AMOUNT_WORDS + AMOUNTS.promised);
    Atomics.store(accounts, 0, units | (BigInt(this.#writer) << BigInt(AMOUNT_BITS)) | (1n << 60n));
  }

  #words(ticket: Ticket) {
    return { ...ledgerWords(this.#ledger.share()), slot: ticket % this.#ledger.share().slots };
  }
}
