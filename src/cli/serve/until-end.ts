import { NodeError } from '../../core/errors.ts';
import type { RunningNode } from '../../node-types.ts';
import { type CliContext, ExitStatus } from '../context.ts';
import { portHolder } from './port-holder.ts';

/** Time a graceful stop may take. */
export const STOP_MS: number = 10_000;
/** Exit code of a stop that was cut short by a second signal. */
const EXIT_AT_ONCE = 130;

/** Names the process that holds the port, where the system tells. */
export async function withHolder(thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof NodeError) || thrown.code !== 'PortInUse') return thrown;
  const port = Number(thrown.details?.['port'] ?? /(?:\/tcp\/|:)(\d+)\b/.exec(thrown.message)?.[1] ?? '');
  const holder = port > 0 ? await portHolder(port) : '';
  if (holder === '') return thrown;
  return new NodeError('PortInUse', `${thrown.message}; it is held by ${holder}`, { cause: thrown });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Runs until a signal comes or the node fails, then stops it. @throws Error with which it failed, ExitStatus after a second signal */
export async function untilEnd(
  context: CliContext,
  node: Pick<RunningNode, 'failed' | 'stop'>,
): Promise<void> {
  const failure = await Promise.race([node.failed, aborted(context.signal)]);
  if (failure === undefined) {
    context.stderr.write(
      'Stopping; press Ctrl+C again to stop at once. Jobs that can outlive the node go on.\n',
    );
  }
  const second = new Promise<never>((_, reject) => {
    context.onSecondSignal(() => reject(new ExitStatus(EXIT_AT_ONCE)));
  });
  await Promise.race([node.stop(Date.now() + STOP_MS), second]);
  if (failure instanceof Error) throw failure;
}
