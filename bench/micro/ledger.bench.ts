import { Worker } from 'node:worker_threads';
import { Ledger } from '../../src/capacity/ledger.ts';
import type { Resources } from '../../src/core/job.ts';
import type { HammerData } from '../../test/support/capacity/hammer.worker.ts';
import type { Bench } from '../support/bench.ts';
import { type MicroCase, measure } from '../support/micro.ts';

const COUNT = 1000;
const GIB = 1024 ** 3;
const TOTAL: Resources = { cpu: 64, memory: 512 * GIB, disk: 8192 * GIB, gpu: 8 };
const QUEUE: Resources = { cpu: 2048, memory: 16_384 * GIB, disk: 262_144 * GIB, gpu: 256 };
const SMALL: Resources = { cpu: 0.5, memory: GIB, disk: GIB, gpu: 0 };
const HAMMERS = 3;

/** Capacity, reserved, used and released by every execution: alone, and with threads at the same accounts. */
export const ledgerBench: Bench = {
  name: 'ledger',
  doc: 'capacity ledger: one step, and all steps of an execution, alone and contended',
  run: async (size) => {
    const ledger = new Ledger({ total: TOTAL, queue: QUEUE });
    const alone = await measure([...cases(ledger, 'alone')], size);
    const hammers = await startHammers(ledger);
    const contended = await measure([...cases(ledger, `${HAMMERS} threads at it`)], size);
    await hammers.stop();
    return [...alone, ...contended];
  },
};

function cases(ledger: Ledger, when: string): readonly MicroCase[] {
  const ticket = ledger.issue(SMALL) ?? 0;
  const words = new BigUint64Array(new SharedArrayBuffer(8));
  return [
    {
      what: `lease + expire, ${when}`,
      per: 2 * COUNT,
      run: () => {
        for (let round = 0; round < COUNT; round += 1) {
          ledger.lease(ticket);
          ledger.expire(ticket);
        }
      },
      limit: {
        what: 'bare atomics on one word',
        per: 2 * COUNT,
        run: () => {
          for (let round = 0; round < COUNT; round += 1) {
            const before = Atomics.load(words, 0);
            Atomics.compareExchange(words, 0, before, before + 1n);
            Atomics.sub(words, 0, 1n);
          }
        },
      },
    },
    {
      what: `reserve to close, ${when}`,
      per: COUNT,
      run: () => {
        for (let round = 0; round < COUNT; round += 1) life(ledger, SMALL);
      },
    },
    {
      what: `reserve to close with a GPU, ${when}`,
      per: COUNT,
      run: () => {
        for (let round = 0; round < COUNT; round += 1) life(ledger, { ...SMALL, gpu: 1 });
      },
    },
  ];
}

/** An execution's way, as the spine goes it. */
function life(ledger: Ledger, request: Resources): void {
  const ticket = ledger.reserve(request);
  if (ticket === undefined) return;
  ledger.accept(ticket);
  ledger.use(ticket);
  ledger.stop(ticket);
  ledger.close(ticket);
}

async function startHammers(ledger: Ledger): Promise<{ stop(): Promise<void> }> {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const counts = new Int32Array(new SharedArrayBuffer(16));
  const workers = Array.from({ length: HAMMERS }, (_, index) => {
    const tickets = Array.from({ length: 8 }, () => ledger.issue(SMALL) ?? 0);
    const workerData: HammerData = {
      ledger: ledger.share(),
      writer: index + 2,
      tickets,
      seed: index + 1,
      stop,
      counts,
    };
    return new Worker(new URL('../../test/support/capacity/hammer.worker.ts', import.meta.url), {
      workerData,
    });
  });
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('online', resolve))));
  return {
    async stop() {
      Atomics.store(stop, 0, 1);
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))));
    },
  };
}
