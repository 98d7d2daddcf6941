import { Ledger } from '../../src/capacity/ledger.ts';
import type { Bench } from '../support/bench.ts';
import { measure } from '../support/micro.ts';

const COUNT = 10_000;
const GIB = 1024 ** 3;

/** Capacity, reserved and released by every execution. */
export const ledgerBench: Bench = {
  name: 'ledger',
  doc: 'capacity ledger: reserve, then release',
  run: (size) => {
    const total = { cpu: 64, memory: 256 * GIB, disk: 1024 * GIB, gpu: 8 };
    const ledger = new Ledger({ total, queue: total });
    const units = ledger.units({ cpu: 0.1, memory: GIB, disk: GIB, gpu: 0 });
    const words = new BigInt64Array(new SharedArrayBuffer(8));
    return measure(
      [
        {
          what: 'reserve + release',
          per: COUNT,
          run: () => {
            for (let round = 0; round < COUNT; round += 1) {
              ledger.tryUse(units);
              ledger.releaseUsed(units);
            }
          },
          limit: {
            what: 'bare atomics on one word',
            per: COUNT,
            run: () => {
              for (let round = 0; round < COUNT; round += 1) {
                const before = Atomics.load(words, 0);
                Atomics.compareExchange(words, 0, before, before + units);
                Atomics.sub(words, 0, units);
              }
            },
          },
        },
      ],
      size,
    );
  },
};
