import type { Command } from 'commander';
import { formatDuration } from '../../core/duration.ts';
import { shortId } from '../../core/ids.ts';
import { shortTime, size } from '../format.ts';
import { addOutputFlags, type Column, type OutputOptions, printDocument, printRows } from '../output.ts';
import { collect } from '../run-flags.ts';
import { type Wire, wire, wireItems, wireNumber, wireText, wireTimeMs } from '../wire.ts';
import { BIDS_PATH } from './bid.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

const NODES = '/api/v1/orchestrator/nodes';

function capacity(kind: 'CPU' | 'Memory' | 'Disk' | 'GPU'): (node: Wire) => string {
  return (node) => {
    const compute = wire(wire(node['Info'])['ComputeNodeInfo']);
    if (wireText(wire(node['Info'])['NodeType']).toLowerCase() !== 'compute') return '';
    const text = (amount: number): string => {
      if (kind === 'CPU') return amount.toFixed(1);
      return kind === 'GPU' ? String(amount) : size(amount);
    };
    const [free, all] = ['AvailableCapacity', 'MaxCapacity'].map((key) =>
      wireNumber(wire(compute[key])[kind]),
    );
    return `${text(free ?? 0)} / ${text(all ?? 0)}`;
  };
}

const LABELS_WIDTH = 49;

/** A name that only repeats the id is left out where there is no room for the id itself. */
function labels(node: Wire, wide: boolean): string {
  const info = wire(node['Info']);
  const id = wireText(info['NodeID']);
  return Object.entries(wire(info['Labels']))
    .filter(([key, value]) => wide || key !== 'name' || wireText(value) !== id)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${key}=${wireText(value)}`)
    .join(' ');
}

/** How long ago the node was heard of, or lost. */
function seen(node: Wire): string {
  const state = wire(node['ConnectionState']);
  const isLost = wireText(state['Status']) === 'DISCONNECTED';
  const atMs = Date.parse(wireText(state[isLost ? 'DisconnectedSince' : 'LastHeartbeat']));
  if (!(atMs > 0)) return '';
  const seconds = Math.max(0, Math.round((Date.now() - atMs) / 1000));
  const ago = seconds === 0 ? 'now' : `${formatDuration(seconds * 1000)} ago`;
  return isLost ? `lost ${ago}` : ago;
}

const columns: readonly Column<Wire>[] = [
  {
    title: 'ID',
    value: (node, wide) => {
      const id = wireText(wire(node['Info'])['NodeID']);
      return wide ? id : shortId(id);
    },
  },
  { title: 'TYPE', value: (node) => wireText(wire(node['Info'])['NodeType']) },
  { title: 'APPROVAL', value: (node) => wireText(node['Membership']) },
  {
    title: 'STATUS',
    value: (node) => wireText(wire(node['ConnectionState'])['Status']) || wireText(node['Connection']),
  },
  { title: 'SEEN', value: seen },
  { title: 'VERSION', value: (node) => wireText(wire(wire(node['Info'])['BacalhauVersion'])['GitVersion']) },
  { title: 'LABELS', value: labels, max: LABELS_WIDTH },
  { title: 'CPU', value: capacity('CPU') },
  { title: 'MEMORY', value: capacity('Memory') },
  { title: 'DISK', value: capacity('Disk') },
  { title: 'GPU', value: capacity('GPU') },
];

interface ListFlags extends OutputOptions {
  readonly labels: readonly string[];
  readonly limit?: string;
  readonly nextToken?: string;
  readonly orderBy?: string;
  readonly orderReversed?: boolean;
  readonly filterApproval?: string;
  readonly filterStatus?: string;
}

function list(modules: CommandModules): Command {
  const list = command('list', 'List the nodes that the requester knows', [
    'bacalhau node list',
    'bacalhau node list --labels os_type=linux --output json',
  ]);
  addOutputFlags(list, 'rows')
    .option('--labels <selector>', 'only nodes whose labels match (repeatable)', collect, [])
    .option('--limit <n>', 'how many')
    .option('--next-token <token>', 'where the last list ended')
    .option(
      '--order-by <field>',
      'id, type, available_cpu, available_memory, available_disk, available_gpu, status',
    )
    .option('--order-reversed', 'turn the order round')
    .option('--filter-approval <state>', 'only approved, pending or rejected nodes')
    .option('--filter-status <state>', 'only connected or disconnected nodes')
    .action(async (flags: ListFlags) => {
      const reply = await clientOf(modules.context, list).get(NODES, {
        labels: flags.labels,
        limit: flags.limit,
        next_token: flags.nextToken,
        order_by: flags.orderBy,
        reverse: flags.orderReversed,
        'filter-approval': flags.filterApproval,
        'filter-status': flags.filterStatus,
      });
      printRows(modules.context, wireItems(reply['Nodes']), columns, reply['Nodes'] ?? [], flags);
    });
  return list;
}

function describe(modules: CommandModules): Command {
  const describe = command('describe', 'Show one node', ['bacalhau node describe <node id>']);
  addOutputFlags(describe, 'document')
    .argument('<id>', 'node id, or its beginning')
    .action(async (id: string, flags: OutputOptions) => {
      const reply = await clientOf(modules.context, describe).get(`${NODES}/${encodeURIComponent(id)}`);
      printDocument(modules.context, reply['Node'], flags);
    });
  return describe;
}

const executionColumns: readonly Column<Wire>[] = [
  { title: 'CREATED', value: (row, wide) => shortTime(wireTimeMs(row['CreateTime']), wide) },
  { title: 'UPDATED', value: (row, wide) => shortTime(wireTimeMs(row['UpdateTime']), wide) },
  { title: 'ID', value: (row, wide) => (wide ? wireText : shortened)(row['ExecutionID']) },
  { title: 'JOB ID', value: (row, wide) => (wide ? wireText : shortened)(row['JobID']) },
  { title: 'JOB', value: (row) => wireText(wire(row['Job'])['Name']), max: 40 },
  {
    title: 'ENGINE',
    value: (row) => wireText(wire(wireItems(wire(row['Job'])['Tasks'])[0]?.['Engine'])['Type']),
  },
  { title: 'STATE', value: (row) => wireText(row['State']) },
  { title: 'STAGE', value: (row) => wireText(row['Stage']) },
  { title: 'ATTEMPTS', value: (row) => wireText(row['Attempts']) },
  { title: 'COMMENT', value: (row) => wireText(row['Comment']), max: 50 },
];

function shortened(value: unknown): string {
  return shortId(wireText(value));
}

function executions(modules: CommandModules): Command {
  const executions = command(
    'executions',
    'List what the compute node that is called holds, with the original jobs',
    [
      'bacalhau node executions',
      'bacalhau node executions --state Running,Publishing',
      'bacalhau node executions --output json --pretty',
    ],
  );
  addOutputFlags(executions, 'rows')
    .option('--state <states>', 'only executions in these states (repeatable)', collect, [])
    .option('--limit <n>', 'how many', '100')
    .action(async (flags: OutputOptions & { state: readonly string[]; limit: string }) => {
      const reply = await clientOf(modules.context, executions).get('/api/v1/compute/executions', {
        limit: flags.limit,
        state: flags.state,
      });
      printRows(modules.context, wireItems(reply['Items']), executionColumns, reply['Items'] ?? [], flags);
    });
  return executions;
}

const bidColumns: readonly Column<Wire>[] = [
  { title: 'SINCE', value: (row, wide) => shortTime(wireTimeMs(row['CreateTime']), wide) },
  { title: 'UNTIL', value: (row, wide) => shortTime(wireTimeMs(row['ExpireTime']), wide) },
  { title: 'ID', value: (row, wide) => (wide ? wireText : shortened)(row['ExecutionID']) },
  { title: 'JOB ID', value: (row, wide) => (wide ? wireText : shortened)(row['JobID']) },
  { title: 'JOB', value: (row) => wireText(wire(row['Job'])['Name']), max: 40 },
  { title: 'APPROVED', value: (row) => (row['Approved'] === true ? 'yes, waits for room' : 'no') },
  { title: 'REASON', value: (row) => wireText(row['Reason']), max: 60 },
];

function bids(modules: CommandModules): Command {
  const bids = command(
    'bids',
    'List the bids of the compute node that is called that wait for approval ("bid approve", "bid reject")',
    ['bacalhau node bids', 'bacalhau node bids --output json --pretty'],
  );
  addOutputFlags(bids, 'rows').action(async (flags: OutputOptions) => {
    const reply = await clientOf(modules.context, bids).get(BIDS_PATH);
    printRows(modules.context, wireItems(reply['Items']), bidColumns, reply['Items'] ?? [], flags);
  });
  return bids;
}

function decide(
  modules: CommandModules,
  action: 'approve' | 'reject' | 'delete',
  description: string,
): Command {
  const decide = command(action, description, [`bacalhau node ${action} <node id>`]);
  decide
    .argument('<id>', 'node id, or its beginning')
    .option('-m, --message <text>', 'why', '')
    .action(async (id: string, flags: { readonly message: string }) => {
      const { context } = modules;
      const body = { Action: action, Message: flags.message, NodeID: id };
      await clientOf(context, decide).put(`${NODES}/${encodeURIComponent(id)}`, body);
      context.stdout.write('Ok\n');
    });
  return decide;
}

export function nodeCommand(modules: CommandModules): Command {
  return command('node', 'Look at nodes, and decide about them', [])
    .addCommand(list(modules))
    .addCommand(describe(modules))
    .addCommand(decide(modules, 'approve', 'Give a node jobs that was rejected'))
    .addCommand(decide(modules, 'reject', 'Give a node no more jobs; what it runs goes elsewhere'))
    .addCommand(decide(modules, 'delete', 'Forget a node; it is listed again when it is heard of again'))
    .addCommand(executions(modules))
    .addCommand(bids(modules));
}
