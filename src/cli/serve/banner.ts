import type { NodeConfig } from '../../config/load.ts';
import type { RunningNode } from '../../node-types.ts';
import { type CliContext, style } from '../context.ts';
import { size } from '../format.ts';
import { HELLO_WASM_BASE64 } from '../hello-wasm.ts';

const NAME_WIDTH = 11;

function storeText(config: NodeConfig, node: RunningNode): string {
  const { compute, requester } = config.stores;
  const one = (role: string, file: string, store: typeof compute): string => {
    if (store.type === 'memory') return `${role}: in memory, lost at exit`;
    return `${role}: ${store.path === '' ? `${config.node.dataDir}/${node.nodeId}-${role}/${file}` : store.path}`;
  };
  const texts = [
    ...(config.node.roles.requester ? [one('requester', 'jobs.db', requester)] : []),
    ...(config.node.roles.compute ? [one('compute', 'executions.db', compute)] : []),
  ];
  return texts.join(`\n${' '.repeat(NAME_WIDTH + 2)}`);
}

function capacityText(node: RunningNode): string {
  const all = node.capacity;
  if (all === undefined) return 'none (requester only)';
  return `${all.cpu} CPU, ${size(all.memory)} memory, ${size(all.disk)} disk, ${all.gpu} GPU`;
}

function serverText({ apiServer: { name, fallback } }: RunningNode): string {
  return fallback === '' ? name : `${name} (not uWebSockets.js: ${fallback})`;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}

/** How a command line must name this node so that client commands reach it; "" at the default address. */
function clientFlags(node: RunningNode): string {
  const url = new URL(node.apiUrl);
  const host = url.hostname === '127.0.0.1' ? '' : ` --api-host ${url.hostname}`;
  const port = url.port === '1234' ? '' : ` --api-port ${url.port}`;
  return `${host}${port}${url.protocol === 'https:' ? ' --tls' : ''}`;
}

function tryNext(node: RunningNode, command: string): readonly string[] {
  const cli = `${command}${clientFlags(node)}`;
  const run: string[] = [];
  if (node.engines.includes('wasm')) {
    run.push(`echo ${HELLO_WASM_BASE64} | base64 -d > hello.wasm`);
    run.push(`${cli} wasm run --follow hello.wasm`);
  }
  if (node.engines.includes('docker')) run.push(`${cli} docker run --follow busybox:latest -- echo hello`);
  return [...run, `${cli} job list`, `${cli} node list`];
}

/**
 * What `serve` prints when the node is up.
 * @param command how this program is called, for lines to copy
 */
export function banner(context: CliContext, config: NodeConfig, node: RunningNode, command: string): string {
  const row = (name: string, text: string): string => `  ${name.padEnd(NAME_WIDTH)}${text}\n`;
  const out = context.stdout;
  let text = `${style(context, out, 'bold', 'Bacalhau node is running')}\n`;
  text += row('Node', node.nodeId);
  text += row('Roles', list(Object.entries(config.node.roles).flatMap(([role, on]) => (on ? [role] : []))));
  text += row('API', node.apiUrl);
  text += row('Server', serverText(node));
  text += row('Swarm', list(node.swarmAddresses).replaceAll(', ', `\n${' '.repeat(NAME_WIDTH + 2)}`));
  if (config.node.roles.compute) {
    text += row('Engines', list(node.engines));
    text += row('Inputs', list(node.storages));
    text += row('Publishers', list(node.publishers));
    text += row('Capacity', capacityText(node));
    const locality = config.bid.locality === 'local' ? 'only what is on this node' : 'from anywhere';
    text += row('Input data', `${locality} (--job-selection-data-locality ${config.bid.locality})`);
  }
  text += row('Data', config.node.dataDir);
  text += row('Stores', storeText(config, node));
  for (const warning of [...config.warnings, ...node.warnings]) {
    text += `${style(context, out, 'yellow', 'Warning: ')}${warning}\n`;
  }
  text += '\nTo try it, in another terminal:\n';
  for (const line of tryNext(node, command)) text += `  ${line}\n`;
  // Another machine cannot reach the loopback.
  const peer =
    node.swarmAddresses.find((address) => !/^\/ip[46]\/(?:127\.|::1\/)/.test(address)) ??
    node.swarmAddresses[0];
  if (peer !== undefined) text += `\nTo let another node join:\n  ${command} serve --peer ${peer}\n`;
  return `${text}\nPress Ctrl+C to stop.\n`;
}
