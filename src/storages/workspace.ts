import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeError } from '../core/errors.ts';
import type { PrepareContext } from './storage.ts';

/**
 * Calls `work` with a new folder under the context's, which any user may read and enter. It is removed again
 * when `work` fails, so that a retry starts clean.
 */
export async function inNewFolder<T>(
  context: PrepareContext,
  prefix: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  context.signal.throwIfAborted();
  const folder = await mkdtemp(join(context.directory, `${prefix}-`));
  try {
    // mkdtemp makes folders private, and the job may run as another user.
    await chmod(folder, 0o755);
    return await work(folder);
  } catch (thrown) {
    await rm(folder, { recursive: true, force: true });
    if (thrown instanceof NodeError || !context.signal.aborted) throw thrown;
    throw new NodeError('InputUnavailable', 'the input was given up before it was complete', {
      cause: thrown,
    });
  }
}
