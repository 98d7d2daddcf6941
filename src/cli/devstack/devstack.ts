import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadConfig, type NodeConfig } from '../../config/load.ts';
import { settingOfKey } from '../../config/settings.ts';
import { NodeError, toErrorData } from '../../core/errors.ts';
import { lockDataDir } from '../../data-dir.ts';
import type { RunningNode } from '../../node-types.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { type CliContext, hasColour, style } from '../context.ts';
import type { ArgvFlags } from '../serve/flags.ts';
import { exportLines } from '../serve/run-file.ts';
import { STOP_MS, untilEnd, withHolder } from '../serve/until-end.ts';

/** What the network is made of. */
export interface DevstackOptions {
  readonly requesters: number;
  readonly computes: number;
  readonly hybrids: number;
  /** Port of the first requester's API. */
  readonly apiPort: number;
  /** Holds one folder a node, which stay; "" for a temporary one, which does not. */
  readonly dataDir: string;
  /** `key=value`, for every node. */
  readonly settings: readonly string[];
}

/** A node that is to be. */
interface Plan {
  readonly name: string;
  readonly roles: readonly ('compute' | 'requester')[];
}

interface Member extends Plan {
  readonly node: RunningNode;
}

/** What compute nodes may give to jobs, of all the machine has. */
const SHARE_PERCENT = 80;
const NAME_WIDTH = 14;

function plan({ requesters, hybrids, computes }: DevstackOptions): Plan[] {
  const many = (count: number, kind: string, roles: Plan['roles']): Plan[] =>
    Array.from({ length: count }, (_, index) => ({ name: `${kind}-${index + 1}`, roles }));
  // Those that others join come first.
  return [
    ...many(requesters, 'requester', ['requester']),
    ...many(hybrids, 'hybrid', ['compute', 'requester']),
    ...many(computes, 'compute', ['compute']),
  ];
}

/** Every compute node gets an equal share of the machine, so that it is not promised several times. */
function shares(index: number, of: number): Record<string, string> {
  const percent = `${Math.floor((SHARE_PERCENT * 100) / of) / 100}%`;
  return {
    'Compute.AllocatedCapacity.CPU': percent,
    'Compute.AllocatedCapacity.Memory': percent,
    'Compute.AllocatedCapacity.Disk': percent,
    // A GPU can not be shared: the first node has them.
    ...(index === 0 ? {} : { 'Compute.AllocatedCapacity.GPU': '0' }),
  };
}

/** The command line of one node; what the user has set is left as it is. */
function argvFlags(values: Readonly<Record<string, string>>, settings: readonly string[]): ArgvFlags {
  const given = new Set(settings.map((text) => settingOfKey(text.split('=', 1)[0] ?? '')?.key));
  const own = Object.entries(values).filter(([key]) => !given.has(key));
  return { config: [...own.map(([key, value]) => `${key}=${value}`), ...settings] };
}

class Stack {
  readonly #context: CliContext;
  readonly #options: DevstackOptions;
  readonly #folder: string;
  readonly members: Member[] = [];
  readonly #unlocks: (() => Promise<void>)[] = [];

  constructor(context: CliContext, options: DevstackOptions, folder: string) {
    this.#context = context;
    this.#options = options;
    this.#folder = folder;
  }

  /** Nodes with the requester role: whom others join, and whom clients call. */
  get requesters(): readonly Member[] {
    return this.members.filter(({ roles }) => roles.includes('requester'));
  }

  async start(): Promise<void> {
    const plans = plan(this.#options);
    const computes = plans.filter(({ roles }) => roles.includes('compute'));
    for (const [index, { name, roles }] of plans.entries()) {
      const at = computes.findIndex((one) => one.name === name);
      const peers = this.requesters.flatMap(({ node }) => node.swarmAddresses.slice(0, 1));
      const values = {
        DataDir: join(this.#folder, name),
        NodeType: roles.join(','),
        'API.Port': index === 0 ? String(this.#options.apiPort) : '0',
        'Libp2p.SwarmHost': '127.0.0.1',
        'Libp2p.SwarmPort': '0',
        'JobAdmissionControl.Locality': 'anywhere',
        'Logging.Level': 'warn',
        Labels: `devstack=${name}`,
        ...(peers.length === 0 ? {} : { 'Libp2p.Peers': peers.join(',') }),
        ...(at < 0 ? {} : shares(at, computes.length)),
      };
      const flags = argvFlags(values, this.#options.settings);
      await this.#add(
        { name, roles },
        loadConfig({ argvFlags: flags, env: this.#context.env, cwd: this.#context.cwd }),
      );
    }
  }

  /** Resolves when every requester is linked with every compute node; says so where that takes too long. */
  async joined(timeoutMs: number): Promise<void> {
    const computes = this.members.filter(({ roles }) => roles.includes('compute')).length;
    const deadline = Date.now() + timeoutMs;
    for (const { name, node } of this.requesters) {
      // By https its certificate may be one that only its users trust.
      if (!node.apiUrl.startsWith('http:')) continue;
      while ((await connected(node)) < computes) {
        if (Date.now() > deadline) {
          throw new NodeError(
            'NodeUnreachable',
            `devstack: ${name} was not joined by all ${computes} compute nodes`,
          );
        }
        await new Promise((wake) => setTimeout(wake, 50));
      }
    }
  }

  /** Resolves with the first failure of any of them; never rejects. */
  get failed(): Promise<Error> {
    return Promise.race(
      this.members.map(async ({ name, node }) => new Error(`${name}: ${(await node.failed).message}`)),
    );
  }

  /** Compute nodes first: what they have to say still finds its requester. */
  async stop(deadlineMs: number): Promise<void> {
    await Promise.all(
      this.members
        .filter(({ roles }) => !roles.includes('requester'))
        .map(({ node }) => node.stop(deadlineMs)),
    );
    await Promise.all(this.requesters.map(({ node }) => node.stop(deadlineMs)));
    for (const unlock of this.#unlocks) await unlock();
  }

  async #add(planned: Plan, config: NodeConfig): Promise<void> {
    const { level, mode } = config.log;
    const colour = hasColour(this.#context, this.#context.stderr);
    const logger = createLogger({ level, mode, colour }).child({ node: planned.name });
    await mkdir(config.node.dataDir, { recursive: true });
    const lock = await lockDataDir(config.node.dataDir);
    this.#unlocks.push(() => lock.release());
    try {
      const node = await this.#context.startNode(config, { logger });
      this.members.push({ ...planned, node });
      await lock.announce(node.apiUrl);
    } catch (thrown) {
      const error = await withHolder(thrown);
      if (!(error instanceof NodeError)) throw error;
      throw new NodeError(error.code, `${planned.name}: ${error.message}`, { cause: error });
    }
  }
}

async function connected(node: RunningNode): Promise<number> {
  const reply = await fetch(`${node.apiUrl}/api/v1/orchestrator/nodes?filter-status=connected`);
  const { Nodes } = (await reply.json()) as { Nodes: readonly { Info: { NodeType: string } }[] };
  return Nodes.filter(({ Info }) => Info.NodeType === 'Compute').length;
}

function shown(context: CliContext, stack: Stack, folder: string, isKept: boolean, command: string): string {
  const { members, requesters } = stack;
  const out = context.stdout;
  let text = `${style(context, out, 'bold', `A network of ${members.length} nodes is running`)}\n`;
  for (const { name, node } of members)
    text += `  ${name.padEnd(NAME_WIDTH)}${node.apiUrl}  ${node.nodeId}\n`;
  text += `  ${'Data'.padEnd(NAME_WIDTH)}${folder}${isKept ? '' : ' (removed at the end)'}\n`;
  text += `  ${'Input data'.padEnd(NAME_WIDTH)}from anywhere (--job-selection-data-locality anywhere)\n`;
  const warnings = new Set(members.flatMap(({ node }) => node.warnings));
  for (const warning of warnings) text += `${style(context, out, 'yellow', 'Warning: ')}${warning}\n`;
  const [first] = requesters;
  if (first === undefined) return text;
  text += '\nTo use it, in another terminal:\n';
  for (const line of exportLines(first.node)) text += `  ${line}\n`;
  text += `  ${command} node list\n  ${command} job list\n`;
  const [address] = first.node.swarmAddresses;
  if (address !== undefined)
    text += `\nTo let another node join:\n  ${command} serve --api-port 0 --port 0 --data-dir <folder> --peer ${address}\n`;
  return `${text}\nPress Ctrl+C to stop.\n`;
}

/** How long all may take to find each other. */
const JOIN_MS = 30_000;

/**
 * Brings up a network of nodes in this process, on the loopback, and keeps it up.
 * @param command how this program is called, for the lines it shows
 * @throws NodeError ConfigInvalid, PortInUse, DataDirInUse and what the nodes' parts throw
 */
export async function devstack(
  context: CliContext,
  options: DevstackOptions,
  command: string,
): Promise<void> {
  if (options.requesters + options.hybrids === 0) {
    throw new NodeError(
      'CommandInvalid',
      'a network needs a requester: --requester-nodes or --hybrid-nodes of at least 1',
    );
  }
  const isKept = options.dataDir !== '';
  const folder = isKept
    ? resolve(context.cwd, options.dataDir)
    : await mkdtemp(join(tmpdir(), 'bacalhau-devstack-'));
  const stack = new Stack(context, options, folder);
  try {
    try {
      await stack.start();
      await stack.joined(JOIN_MS);
    } catch (thrown) {
      await stack.stop(Date.now() + STOP_MS);
      throw thrown instanceof Error ? thrown : new Error(toErrorData(thrown).message);
    }
    context.stdout.write(shown(context, stack, folder, isKept, command));
    await untilEnd(context, stack);
  } finally {
    if (!isKept) await rm(folder, { recursive: true, force: true });
  }
}
