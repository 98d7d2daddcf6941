import type { Setting, SettingReader } from '../../config/table.ts';

/** How jobs are run, and what they may read. */
export interface ExecuteConfig {
  /** Lower case. */
  readonly disabledEngines: readonly string[];
  /** Lower case. */
  readonly disabledStorages: readonly string[];
  /** Globs with optional ":rw" or ":ro". */
  readonly allowListedLocalPaths: readonly string[];
  /** Hosts, "host:port" or CIDRs that urlDownload may reach although they are private. */
  readonly urlAllowList: readonly string[];
  readonly urlTimeoutMs: number;
  readonly urlRetries: number;
  /** Names of host environment variables that a task's value "env:NAME" may copy. */
  readonly envAllowList: readonly string[];
  /** The host's variables that the allow-list names. */
  readonly hostEnv: Readonly<Record<string, string>>;
  /** True lets a job of network type Host share the host's network; needs accepted networked jobs too. */
  readonly allowHostNetwork: boolean;
  /** Most bytes of all result paths together, of a job that asks for no disk. */
  readonly maxResultBytes: number;
}

export const executeSettings: readonly Setting[] = [
  {
    key: 'Engines.Disabled',
    aliases: ['Node.DisabledFeatures.Engines'],
    flag: 'disable-engine',
    kind: 'list',
    default: '',
    unset: 'none',
    doc: 'Engines the node does not offer.',
  },
  {
    key: 'InputSources.Disabled',
    aliases: ['Node.DisabledFeatures.Storages'],
    flag: 'disable-storage',
    kind: 'list',
    default: '',
    unset: 'none',
    doc: 'Input sources the node does not offer.',
  },
  {
    key: 'Compute.AllowListedLocalPaths',
    aliases: ['Node.AllowListedLocalPaths'],
    flag: 'allow-listed-local-paths',
    kind: 'list',
    default: '',
    unset: 'none',
    doc: 'Local paths (globs) that jobs may mount, read-only unless they end in ":rw".',
  },
  {
    key: 'InputSources.URLAllowList',
    flag: 'url-allow-list',
    kind: 'list',
    default: '',
    unset: 'none',
    doc: 'Hosts, host:port or CIDRs that jobs may download from although they are loopback, link-local or private.',
  },
  {
    key: 'InputSources.ReadTimeout',
    aliases: ['Node.DownloadURLRequestTimeout'],
    kind: 'duration',
    default: '5m',
    doc: 'Longest silence of a server that a URL input is downloaded from.',
  },
  {
    key: 'InputSources.MaxRetryCount',
    aliases: ['Node.DownloadURLRequestRetries'],
    kind: 'integer',
    min: 0,
    max: 100,
    default: '3',
    doc: 'How often a failed download of a URL input is tried again.',
  },
  {
    key: 'Compute.Env.AllowList',
    kind: 'list',
    default: '',
    unset: 'none',
    doc: 'Environment variables of this machine that a job may copy with the value "env:NAME"; a trailing "*" matches any rest.',
  },
  {
    key: 'JobAdmissionControl.AcceptHostNetwork',
    flag: 'job-selection-accept-host-network',
    kind: 'boolean',
    default: 'false',
    doc: "Let networked jobs of type Host share this machine's own network.",
  },
  {
    key: 'Compute.MaxResultSize',
    kind: 'bytes',
    default: '10GiB',
    doc: 'Most that the result paths of one execution may hold together where its job asks for no disk.',
  },
];

export function readExecute(settings: SettingReader): ExecuteConfig {
  const allowHostNetwork = settings.boolean('JobAdmissionControl.AcceptHostNetwork');
  if (allowHostNetwork && !settings.boolean('JobAdmissionControl.AcceptNetworkedJobs')) {
    settings.fault(
      'JobAdmissionControl.AcceptHostNetwork',
      'has no effect without JobAdmissionControl.AcceptNetworkedJobs (--job-selection-accept-networked)',
    );
  }
  return {
    disabledEngines: settings.list('Engines.Disabled').map((name) => name.toLowerCase()),
    disabledStorages: settings.list('InputSources.Disabled').map((name) => name.toLowerCase()),
    allowListedLocalPaths: settings.list('Compute.AllowListedLocalPaths'),
    urlAllowList: settings.list('InputSources.URLAllowList'),
    urlTimeoutMs: settings.durationMs('InputSources.ReadTimeout'),
    urlRetries: settings.integer('InputSources.MaxRetryCount'),
    envAllowList: settings.list('Compute.Env.AllowList'),
    hostEnv: settings.hostEnv(settings.list('Compute.Env.AllowList')),
    allowHostNetwork,
    maxResultBytes: settings.bytes('Compute.MaxResultSize'),
  };
}
