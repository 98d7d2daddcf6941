/** Numbers the node's events: strictly rising, one sequence for both roles. */
export interface Sequencer {
  /** The next number. */
  next(): number;
  /** The number given out last; where it started when there was none yet. */
  last(): number;
}

/** A sequencer whose first number is `start + 1`: `start` is the highest number in the stores, 0 in new ones. */
export function createSequencer(start: number): Sequencer {
  let last = start;
  return {
    next() {
      last += 1;
      return last;
    },
    last: () => last,
  };
}
