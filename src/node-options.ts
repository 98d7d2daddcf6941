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
    key: 'Labels',
    aliases: ['Node.Labels'],
    flag: 'labels',
    kind: 'map',
    default: '',
    unset: 'the automatic ones only',
    doc: 'Labels of this node that jobs can select on: key=value, comma separated.',
  },
];

export function readNode(settings: SettingReader): NodeOptions {
  const types = settings.list('NodeType');
  if (types.length === 0) settings.fault('NodeType', 'a node needs at least one role: compute, requester or both');
  return {
    dataDir: settings.path('DataDir'),
    roles: { compute: types.includes('compute'), requester: types.includes('requester') },
    labels: settings.map('Labels'),
  };
}
