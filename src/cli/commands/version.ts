import { type Command, Option } from 'commander';
import { NodeError } from '../../core/errors.ts';
import { packageVersion } from '../../version.ts';
import { addOutputFlags, type Column, type OutputOptions, printRows } from '../output.ts';
import { wireText } from '../wire.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

interface Versions {
  readonly client: string;
  /** Undefined where no node answers. */
  readonly server: string | undefined;
}

/** `version`: this program's, and the node's where one answers. */
export function versionCommand(modules: CommandModules): Command {
  const version = command('version', 'Show the versions of this program and of the node', [
    'bacalhau version',
    'bacalhau version --client',
  ]);
  addOutputFlags(version, 'rows')
    .addOption(new Option('--client', 'do not ask the node'))
    .action(async (flags: OutputOptions & { client?: boolean }) => {
      const { context } = modules;
      let server: string | undefined;
      if (flags.client !== true) {
        try {
          server = wireText((await clientOf(context, version).get('/api/v1/agent/version'))['GitVersion']);
        } catch (thrown) {
          if (!(thrown instanceof NodeError)) throw thrown;
          context.stderr.write(`Warning: ${thrown.message}\n`);
        }
      }
      const versions: Versions = { client: `v${packageVersion()}`, server };
      const columns: Column<Versions>[] = [{ title: 'CLIENT', value: (row) => row.client }];
      if (server !== undefined) columns.push({ title: 'SERVER', value: (row) => row.server ?? '' });
      printRows(context, [versions], columns, versions, flags);
    });
  return version;
}
