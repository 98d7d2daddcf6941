import type { NodeConfig } from '../../config/load.ts';
import { NodeError } from '../../core/errors.ts';
import { lockDataDir } from '../../data-dir.ts';
import type { RunningNode } from '../../node-types.ts';
import { createLogger, type Logger } from '../../telemetry/logger.ts';
import { type CliContext, ExitStatus, hasColour } from '../context.ts';
import { banner } from './banner.ts';
import { portHolder } from './port-holder.ts';
import { writeRunFile } from './run-file.ts';

/** Time a graceful stop may take. */
const STOP_MS = 10_000;
/** Exit code of a stop that was cut short by a second signal. */
const EXIT_AT_ONCE = 130;

/** Names the process that holds the port, where the system tells. */
async function withHolder(thrown: unknown): Promise<unknown> {
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

/** Runs until a signal comes or the node fails, then stops it. */
async function untilEnd(context: CliContext, node: RunningNode): Promise<void> {
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

function reloadPolicy(node: RunningNode, reload: () => NodeConfig, logger: Logger): void {
  try {
    node.setPolicy(reload());
  } catch (error) {
    logger.error({ err: error }, 'the configuration could not be read again; the policy is as before');
  }
}

/**
 * Brings up a node with the given configuration and keeps it up.
 * @param given the configuration, and how it is read anew on SIGHUP: its job selection policy, and only that, is
 * taken over
 * @param command how this program is called, for the lines it shows
 * @throws NodeError DataDirInUse, PortInUse and what the node's parts throw
 */
export async function serve(
  context: CliContext,
  given: { readonly config: NodeConfig; readonly reload: () => NodeConfig },
  command: string,
): Promise<void> {
  const { config } = given;
  const logger = createLogger({
    level: config.log.level,
    mode: config.log.mode,
    colour: hasColour(context, context.stderr),
  });
  const lock = await lockDataDir(config.node.dataDir);
  let removeRunFile = (): Promise<void> => Promise.resolve();
  try {
    let node: RunningNode;
    try {
      node = await context.startNode(config, { logger });
    } catch (thrown) {
      throw await withHolder(thrown);
    }
    try {
      await lock.announce(node.apiUrl);
      removeRunFile = await writeRunFile(config.node.dataDir, node);
      context.stdout.write(banner(context, config, node, command));
      context.onReload(() => reloadPolicy(node, given.reload, logger));
    } catch (thrown) {
      await node.stop(Date.now() + STOP_MS);
      throw thrown;
    }
    await untilEnd(context, node);
  } finally {
    await removeRunFile();
    await lock.release();
  }
}
