import type { Command } from 'commander';
import type { NodeConfig } from '../../config/load.ts';
import { NodeError } from '../../core/errors.ts';
import type { CliContext } from '../context.ts';
import { addOutputFlags, type Column, type OutputOptions, printRows } from '../output.ts';
import { collect } from '../run-flags.ts';
import { type CommandModules, command } from './shared.ts';

interface Row {
  readonly key: string;
  readonly value: string;
  readonly origin: string;
  readonly doc: string;
}

interface ConfigFlags extends OutputOptions {
  readonly config: readonly string[];
  readonly dataDir?: string;
}

function addSourceFlags(of: Command): Command {
  return of
    .option('-c, --config <file|key=value>', 'configuration file, or one setting (repeatable)', collect, [])
    .option('--data-dir <path>', 'directory of the node');
}

async function load(context: CliContext, flags: ConfigFlags): Promise<NodeConfig> {
  const { loadConfig } = await import('../../config/load.ts');
  const argvFlags = {
    ...(flags.config.length === 0 ? {} : { config: flags.config }),
    ...(flags.dataDir === undefined ? {} : { 'data-dir': [flags.dataDir] }),
  };
  return loadConfig({ argvFlags, env: context.env, cwd: context.cwd });
}

const columns: readonly Column<Row>[] = [
  { title: 'KEY', value: (row) => row.key },
  { title: 'VALUE', value: (row) => row.value, max: 40 },
  { title: 'FROM', value: (row) => row.origin, max: 40 },
  { title: 'DESCRIPTION', value: (row) => row.doc, max: 60 },
];

function list(modules: CommandModules): Command {
  const list = command('list', 'List the settings of a node: value, where it comes from, meaning', [
    'bacalhau config list',
    'bacalhau config list --output yaml',
  ]);
  addSourceFlags(addOutputFlags(list, 'rows')).action(async (flags: ConfigFlags) => {
    const config = await load(modules.context, flags);
    const { settingOfKey } = await import('../../config/settings.ts');
    const rows = config.settings.map(({ key, text, origin }) => {
      const setting = settingOfKey(key);
      const value = text === '' && setting?.unset !== undefined ? `(${setting.unset})` : text;
      return { key, value, origin, doc: setting?.doc ?? '' };
    });
    printRows(modules.context, rows, columns, config.settings, flags);
  });
  return list;
}

function set(modules: CommandModules): Command {
  return addSourceFlags(
    command('set', "Write one setting to the node's config.yaml", [
      'bacalhau config set JobAdmissionControl.Locality anywhere',
      'bacalhau config set --config my-config.yaml API.Port 2234',
    ]),
  )
    .argument('<key>', 'key of the setting')
    .argument('[value...]', 'value; several for a list; none removes the setting')
    .action(async (key: string, values: string[], flags: ConfigFlags) => {
      const { setInFile } = await import('../../config/write.ts');
      const file = flags.config.at(-1);
      if (file?.includes('=') === true) {
        throw new NodeError('CommandInvalid', `--config ${file}: expected the file to write`);
      }
      const argvFlags = flags.dataDir === undefined ? {} : { 'data-dir': [flags.dataDir] };
      const inputs = { argvFlags, env: modules.context.env, cwd: modules.context.cwd };
      const path = await setInFile(inputs, file, key, values);
      modules.context.stderr.write(`Written to ${path}\n`);
    });
}

export function configCommand(modules: CommandModules): Command {
  return command('config', 'Look at and change the configuration of this machine', [])
    .addCommand(list(modules))
    .addCommand(set(modules));
}
