import { storageKey } from '../../core/headers.ts';
import type { InputSource } from '../../core/job.ts';
import type { Storage } from '../../storages/storage.ts';
import { within } from './decide.ts';

/** Bytes that a job's inputs will take on disk, as far as that can be told in time; the rest counts as 0. Never rejects. */
export async function inputBytes(
  inputs: readonly InputSource[],
  find: (type: string) => Promise<Storage | undefined>,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<number> {
  const sizes = inputs.map((input) =>
    within(
      deadlineMs,
      signal,
      async (limited) => (await find(storageKey(input.Source.Type)))?.size(input, limited),
      undefined,
    ).catch(() => undefined),
  );
  let total = 0;
  for (const size of await Promise.all(sizes)) total += size ?? 0;
  return total;
}
