import type { InputSource } from '../../core/job.ts';
import { parseDataUrl } from '../../storages/data-url.ts';
import { textParam } from '../../storages/params.ts';
import type { Storage } from '../../storages/storage.ts';
import { within } from './decide.ts';
import { storageKey } from './strategies/installed.ts';

/** An input that is in the job itself: here, and of a known size. */
export function isInline({ Source }: InputSource): boolean {
  return storageKey(Source.Type) === 'inline';
}

/** Bytes of inline inputs; those of one that can not be read count as 0, because its run will tell what is wrong. */
export function inlineBytes(inputs: readonly InputSource[]): number {
  let total = 0;
  for (const input of inputs) {
    try {
      total += parseDataUrl(textParam(input, 'URL')).bytes;
    } catch {
      // Not a size to be told in time either.
    }
  }
  return total;
}

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
