import { envNames, keyNames, settingGroups } from '../../src/config/settings.ts';
import type { Setting } from '../../src/config/table.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const code = (text: string): string => `\`${text}\``;

const KINDS: Readonly<Record<Setting['kind'], string>> = {
  string: 'text',
  boolean: 'true, false',
  integer: 'whole number',
  port: 'port',
  duration: 'time: `90s`, `10m`, `1h30m`',
  bytes: 'bytes: `512KiB`, `2GB`',
  'amount-cpu': 'cores, or %',
  'amount-memory': 'bytes, or %',
  'amount-disk': 'bytes, or %',
  'amount-gpu': 'number, or %',
  list: 'list',
  map: 'name=value list',
};

function kindOf(setting: Setting): string {
  if (setting.choices !== undefined) return setting.choices.map(code).join(', ');
  if (setting.format === 'multiaddr') return setting.kind === 'list' ? 'multiaddrs' : 'multiaddr';
  if (setting.format === 'url') return 'URL';
  if (setting.format === 'origin') return 'origins';
  if (setting.format === 'rpc-address') return 'multiaddr or URL';
  return KINDS[setting.kind];
}

function defaultOf(setting: Setting): string {
  if (setting.default !== '') return code(setting.default);
  return cell(setting.unset ?? '');
}

function row(setting: Setting): string {
  const flag = setting.flag === undefined ? '' : code(`--${setting.flag}`);
  const doc = cell(setting.doc).replaceAll('<', '&lt;');
  return `| ${code(setting.key)} | ${flag} | ${code(envNames(setting)[0] ?? '')} | ${kindOf(setting)} | ${defaultOf(setting).replaceAll('<', '&lt;')} | ${doc} |`;
}

function otherNames(setting: Setting): string[] {
  const names = [
    ...keyNames(setting).slice(1).map(code),
    ...(setting.flagAliases ?? []).map((flag) => code(`--${flag}`)),
    ...envNames(setting).slice(1).map(code),
  ];
  return names.length === 0 ? [] : [`| ${code(setting.key)} | ${names.join(', ')} |`];
}

/** docs/CONFIG.md as the config table says. */
export function configPage(): string {
  const groups = settingGroups.map(
    ({ title, settings }) => `## ${title}

| Key | Flag | Environment | Value | Default | What |
| --- | --- | --- | --- | --- | --- |
${settings.map(row).join('\n')}
`,
  );
  return `# Configuration

Every setting of \`bacalhau serve\`. A flag wins over an environment variable, that over the configuration file, that over the default.

The file is \`config.yaml\` in the data directory, or the one named with \`--config FILE\`. A key is written with dots or nested:

\`\`\`yaml
API:
  Port: 2234
JobAdmissionControl.Locality: anywhere
\`\`\`

\`--config KEY=VALUE\` states one setting on the command line; \`bacalhau config list\` shows what applies and where it comes from, \`bacalhau config set KEY VALUE\` writes the file.
All faults of a configuration are reported at once and stop the start; an unknown key is one of them, and names the nearest that exists.
An empty value counts as not set. Lists are comma separated, or the flag is repeated, or the file holds a list.

\`--api-host\` and \`--api-port\` say where \`serve\` listens. On every other command they say whom to call, with \`BACALHAU_API_HOST\` and \`BACALHAU_API_PORT\` in the environment.

This page is made from the \`options.ts\` files of \`src\`; \`UPDATE_DOCS=1 node --test test/unit/docs/tables.test.ts\` writes it.

${groups.join('\n')}
## Other names

They mean the same: keys of Bacalhau 1.2 and older ones of 1.9, other flags, other environment variables.

| Key | Also |
| --- | --- |
${settingGroups.flatMap(({ settings }) => settings.flatMap(otherNames)).join('\n')}
`;
}
