import { readdirSync, readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { Helper } from '../../src/subprocess/helper.ts';
import { recordingLogger } from './logs.ts';

/** A helper process of the test's own, as a bid thread has one. */
export function probeHelper(t: TestContext, env?: Readonly<Record<string, string>>): Helper {
  const helper = new Helper(
    { running: 1024, ...(env === undefined ? {} : { env }) },
    { logger: recordingLogger().logger },
  );
  t.after(() => helper.stop());
  return helper;
}

/** True while the process runs; a killed one that nobody has waited for yet is dead all the same. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Processes with a word in their environment, wherever they hang in the tree: the helper may have died before them. */
export function marked(mark: string): number {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, 'utf8').includes(mark);
    } catch {
      return false;
    }
  }).length;
}
