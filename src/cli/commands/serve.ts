import type { Command } from 'commander';
import type { NodeConfig } from '../../config/load.ts';
import { addSettingFlags, argvFlagsOf } from '../serve/flags.ts';
import { type CommandModules, command } from './shared.ts';

/** `serve`: the only command that loads the node. */
export function serveCommand(modules: CommandModules & { readonly programName: string }): Command {
  const serve = command('serve', 'Start a node: compute, requester or both', [
    'bacalhau serve',
    'bacalhau serve --job-selection-data-locality anywhere',
    'bacalhau serve --api-port 2234 --port 2235 --data-dir ./node-2 --peer /ip4/10.0.0.1/tcp/1235/p2p/12D3KooW…',
    'bacalhau serve --ipfs-connect /ip4/127.0.0.1/tcp/5001 --limit-total-cpu 4 --limit-total-memory 8Gb',
  ]);
  return addSettingFlags(serve).action(async () => {
    const { context, programName } = modules;
    const { loadConfig } = await import('../../config/load.ts');
    const load = (): NodeConfig =>
      loadConfig({ argvFlags: argvFlagsOf(serve), env: context.env, cwd: context.cwd });
    const config = load();
    const node = await import('../serve/serve.ts');
    await node.serve(context, { config, reload: load }, programName);
  });
}
