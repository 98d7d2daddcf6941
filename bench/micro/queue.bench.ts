import { BoundedQueue } from '../../src/pipeline/queue.ts';
import type { Bench } from '../support/bench.ts';
import { measure } from '../support/micro.ts';

const COUNT = 1000;

/** The queue in front of every stage. */
export const queueBench: Bench = {
  name: 'queue',
  doc: 'bounded queue of a stage: push, then shift',
  run: (size) => {
    const items = Array.from({ length: COUNT }, (_, index) => ({ id: `e-${index}`, priority: index % 3 }));
    const queue = new BoundedQueue<{ id: string; priority: number }>({ name: 'bench', bound: COUNT });
    const map = new Map<string, unknown>();
    return measure(
      [
        {
          what: 'push + shift, 3 priorities',
          per: COUNT,
          run: () => {
            for (const item of items) queue.tryPush(item);
            while (queue.shift() !== undefined);
          },
          limit: {
            what: 'Map set + delete',
            per: COUNT,
            run: () => {
              for (const item of items) map.set(item.id, item);
              for (const { id } of items) map.delete(id);
            },
          },
        },
      ],
      size,
    );
  },
};
