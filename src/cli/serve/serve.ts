import type { NodeConfig } from '../../config/load.ts';
import { lockDataDir } from '../../data-dir.ts';
import type { RunningNode } from '../../node-types.ts';
import { createLogger, type Logger } from '../../telemetry/logger.ts';
import { type CliContext, hasColour } from '../context.ts';
import { banner } from './banner.ts';
import { writeRunFile } from './run-file.ts';
import { STOP_MS, untilEnd, withHolder } from './until-end.ts';

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
