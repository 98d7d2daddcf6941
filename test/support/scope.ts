import { after } from 'node:test';
import type { Scope } from './node.ts';

/** The scope of a suite: call it in the body of `describe`. What is registered in a hook lives to the suite's end. */
export function suiteScope(): Scope {
  const cleanUps: (() => unknown)[] = [];
  after(async () => {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  });
  return { after: (cleanUp) => void cleanUps.push(cleanUp) };
}
