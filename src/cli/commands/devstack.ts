import type { Command } from 'commander';
import { NodeError } from '../../core/errors.ts';
import { collect } from '../run-flags.ts';
import { type CommandModules, command } from './shared.ts';

/** More would share the machine's cores so thinly that none of them gets anywhere. */
const MOST_NODES = 32;

interface Flags {
  readonly requesterNodes: string;
  readonly computeNodes: string;
  readonly hybridNodes: string;
  readonly apiPort: string;
  readonly dataDir?: string;
  readonly config: readonly string[];
}

function whole(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= most) return value;
  throw new NodeError('CommandInvalid', `--${flag} ${text}: expected a whole number up to ${most}`);
}

/** `devstack`: a network of nodes on this machine. */
export function devstackCommand(modules: CommandModules & { readonly programName: string }): Command {
  return command('devstack', 'Start a small network of nodes on this machine, for trying things out', [
    'bacalhau devstack',
    'bacalhau devstack --compute-nodes 3',
    'bacalhau devstack --requester-nodes 0 --hybrid-nodes 2 --compute-nodes 0',
    'bacalhau devstack --data-dir ./network --config Logging.Level=info --config JobAdmissionControl.AcceptNetworkedJobs=true',
  ])
    .option('--requester-nodes <n>', 'nodes that take jobs and give them to others', '1')
    .option('--compute-nodes <n>', 'nodes that run jobs', '2')
    .option('--hybrid-nodes <n>', 'nodes that do both', '0')
    .option('--api-port <port>', 'port of the REST API of the first node; 0 picks a free one', '1234')
    .option(
      '--data-dir <folder>',
      'keep the data of the nodes there (default: a temporary folder, removed at the end)',
    )
    .option(
      '-c, --config <key=value>',
      'a setting of every node, of docs/CONFIG.md (repeatable)',
      collect,
      [],
    )
    .action(async (flags: Flags) => {
      const { context, programName } = modules;
      const { devstack } = await import('../devstack/devstack.ts');
      await devstack(
        context,
        {
          requesters: whole('requester-nodes', flags.requesterNodes, MOST_NODES),
          computes: whole('compute-nodes', flags.computeNodes, MOST_NODES),
          hybrids: whole('hybrid-nodes', flags.hybridNodes, MOST_NODES),
          apiPort: whole('api-port', flags.apiPort, 65_535),
          dataDir: flags.dataDir ?? '',
          settings: flags.config,
        },
        programName,
      );
    });
}
