import { type Command, Option } from 'commander';
import { settingGroups } from '../../config/settings.ts';
import type { Setting } from '../../config/table.ts';
import { collect } from '../run-flags.ts';

/** Texts by flag, as config/load.ts takes them. */
export type ArgvFlags = Record<string, readonly string[]>;

const VALUE_NAMES: Readonly<Record<Setting['kind'], string>> = {
  string: 'text',
  boolean: 'bool',
  integer: 'n',
  port: 'port',
  duration: 'time',
  bytes: 'bytes',
  'amount-cpu': 'cores',
  'amount-memory': 'bytes',
  'amount-disk': 'bytes',
  'amount-gpu': 'n',
  list: 'list',
  map: 'k=v',
};

function help(setting: Setting): string {
  const standard = setting.default === '' ? setting.unset : JSON.stringify(setting.default);
  const env = setting.env?.[0];
  const notes = [
    ...(standard === undefined ? [] : [`default ${standard}`]),
    ...(env === undefined ? [] : [`env ${env}`]),
  ];
  return notes.length === 0 ? setting.doc : `${setting.doc} (${notes.join('; ')})`;
}

function optionOf(setting: Setting, flag: string, isAlias: boolean): Option {
  const value = VALUE_NAMES[setting.kind];
  const option = new Option(
    `--${flag} ${setting.kind === 'boolean' ? `[${value}]` : `<${value}>`}`,
    isAlias ? `same as --${setting.flag ?? ''}` : help(setting),
  );
  option.argParser((text: string, previous: unknown) =>
    collect(text, Array.isArray(previous) ? previous : []),
  );
  if (setting.kind === 'boolean') option.preset('true');
  return isAlias ? option.hideHelp() : option;
}

/** Adds every flag of the config table to a command, in its groups. */
export function addSettingFlags(command: Command): Command {
  for (const { title, settings } of settingGroups) {
    for (const setting of settings) {
      if (setting.flag === undefined) continue;
      command.addOption(optionOf(setting, setting.flag, false).helpGroup(`${title}:`));
      for (const alias of setting.flagAliases ?? []) command.addOption(optionOf(setting, alias, true));
    }
  }
  return command.option(
    '-c, --config <file|key=value>',
    'configuration file instead of <data dir>/config.yaml, or one setting (repeatable)',
    collect,
    [],
  );
}

/** What was typed, by flag. */
export function argvFlagsOf(command: Command): ArgvFlags {
  const flags: ArgvFlags = {};
  for (const option of command.options) {
    const name = option.long?.replace(/^--/, '');
    if (name === undefined || command.getOptionValueSource(option.attributeName()) !== 'cli') continue;
    const value: unknown = command.getOptionValue(option.attributeName());
    if (Array.isArray(value)) flags[name] = value.map(String);
  }
  // "bacalhau --api-port 2234 serve": the flags in front of the command are this command's too.
  const { apiHost, apiPort } = command.parent?.opts<{ apiHost?: string; apiPort?: string }>() ?? {};
  if (apiHost !== undefined) flags['api-host'] ??= [apiHost];
  if (apiPort !== undefined) flags['api-port'] ??= [apiPort];
  return flags;
}
