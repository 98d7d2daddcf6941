import type { Setting, SettingReader } from './config/table.ts';

/** The node as a whole. */
export interface NodeOptions {
  /** Absolute. */
  readonly dataDir: string;
  readonly roles: { readonly compute: boolean; readonly requester: boolean };
  /** Added to the automatic ones; these win. */
  readonly labels: Readonly<Record<string, string>>;
}

export const nodeSettings: readonly Setting[] = [
  {
    key: 'DataDir',
    flag: 'data-dir',
    flagAliases: ['repo'],
    env: ['BACALHAU_DIR'],
    kind: 'string',
    default: '~/.bacalhau',
    doc: 'Directory of the node: identity, stores, executions, config.yaml.',
  },
  {
    key: 'NodeType',
    aliases: ['Node.Type'],
    flag: 'node-type',
    kind: 'list',
    choices: ['compute', 'requester'],
    default: 'compute,requester',
    doc: 'Roles of this node.',
  },
  {
    key: 'Compute.Enabled',
    flag: 'compute',
    kind: 'boolean',
    default: '',
    unset: 'as NodeType says',
    doc: 'Run a compute node: the other way to choose the roles.',
  },
  {
    key: 'Orchestrator.Enabled',
    flag: 'orchestrator',
    kind: 'boolean',
    default: '',
    unset: 'as NodeType says',
    doc: 'Run a requester: the other way to choose the roles.',
  },
  {
    key: 'Labels',
    aliases: ['Node.Labels'],
    flag: 'labels',
    kind: 'map',
    default: '',
    unset: 'the automatic ones only',
    doc: 'Labels of this node that jobs can select on: key=value, comma separated.',
  },
];

function readRoles(settings: SettingReader): NodeOptions['roles'] {
  const types = settings.list('NodeType');
  const compute = settings.boolean('Compute.Enabled');
  const requester = settings.boolean('Orchestrator.Enabled');
  if (!settings.isSet('Compute.Enabled') && !settings.isSet('Orchestrator.Enabled')) {
    return { compute: types.includes('compute'), requester: types.includes('requester') };
  }
  if (settings.isSet('NodeType')) {
    settings.fault(
      'NodeType',
      'choose the roles either with NodeType or with Compute.Enabled and Orchestrator.Enabled',
    );
  }
  if (!compute && !requester) {
    const key = settings.isSet('Compute.Enabled') ? 'Compute.Enabled' : 'Orchestrator.Enabled';
    settings.fault(
      key,
      'a node needs at least one role: set Compute.Enabled, Orchestrator.Enabled or both to true',
    );
  }
  return { compute, requester };
}

export function readNode(settings: SettingReader): NodeOptions {
  return {
    dataDir: settings.path('DataDir'),
    roles: readRoles(settings),
    labels: settings.map('Labels'),
  };
}
