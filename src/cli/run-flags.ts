import { type Command, Option } from 'commander';
import { parseDurationMs } from '../core/duration.ts';
import { NodeError } from '../core/errors.ts';
import type { JobType, NetworkConfig, ResourcesConfig, SpecConfig, TimeoutConfig } from '../core/job.ts';
import { parseConstraints, parseInput, parseOutput, parsePublisher } from './inputs.ts';

/** Flags that say how a submitted job is waited for. */
export interface WaitFlags {
  readonly wait: boolean;
  readonly follow?: boolean;
  readonly idOnly?: boolean;
  readonly nodeDetails?: boolean;
  readonly waitTimeoutSecs?: string;
  readonly hideWarnings?: boolean;
  readonly dryRun?: boolean;
}

/** Flags of `docker run` and `wasm run` that become parts of the job. */
export interface SpecFlags extends WaitFlags {
  readonly name?: string;
  readonly namespace: string;
  readonly taskName: string;
  readonly target: string;
  readonly count: string;
  readonly priority: string;
  readonly constraints: readonly string[];
  readonly labels: readonly string[];
  readonly env: readonly string[];
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly publisher: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly disk?: string;
  readonly gpu?: string;
  readonly network?: string;
  readonly domain: readonly string[];
  readonly timeout?: string;
  readonly queueTimeout?: string;
  readonly force?: boolean;
}

/** Collects the values of a repeatable flag. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

/** Adds the flags of WaitFlags. */
export function addWaitFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--wait', 'wait until the job has ended; this is the default').default(true).hideHelp(),
    )
    .option('--no-wait', 'print the job id and return at once (also --wait=false)')
    .option('-f, --follow', 'print the output of the job as it comes')
    .option('--id-only', 'print nothing but the job id')
    .option('--node-details', 'after waiting, print what happened on each node')
    .option('--wait-timeout-secs <seconds>', 'give up waiting after this time; the job goes on')
    .option('--hide-warnings', 'do not print the warnings of the node')
    .option('--dry-run', 'print what would be submitted, and submit nothing');
}

/** Adds the flags of SpecFlags. */
export function addSpecFlags(command: Command): Command {
  addWaitFlags(command)
    .option('--name <name>', 'name of the job; a job that has it already gets a new version')
    .option('--namespace <namespace>', 'namespace of the job', 'default')
    .option('--task-name <name>', 'name of the task', 'main')
    .addOption(
      new Option('--target <nodes>', '"any" node, or "all" nodes that match (an ops job)')
        .choices(['any', 'all'])
        .default('any'),
    )
    .option('--count <n>', 'how many executions', '1')
    .addOption(new Option('--concurrency <n>', 'old name of --count').hideHelp())
    .option('--priority <n>', 'jobs of a higher priority go first', '0')
    .option(
      '--constraints <selector>',
      'labels that a node must have, e.g. region=eu (repeatable)',
      collect,
      [],
    )
    .addOption(
      new Option('-s, --selector <selector>', 'old name of --constraints')
        .argParser(collect)
        .default([])
        .hideHelp(),
    )
    .option('-l, --labels <k=v>', 'label of the job (repeatable)', collect, [])
    .option('-e, --env <K=V>', 'environment variable (repeatable)', collect, [])
    .option('-i, --input <uri[:path]>', 'input, e.g. ipfs://CID:/data (repeatable)', collect, [])
    .option('-o, --output <name:path>', 'folder to publish, e.g. outputs:/outputs (repeatable)', collect, [])
    .option('-p, --publisher <type>', 'where results go: ipfs, local, s3://bucket/key or none', 'ipfs')
    .option('--cpu <cores>', 'CPU cores, e.g. 500m, 2')
    .option('--memory <bytes>', 'memory, e.g. 500Mb, 2Gb')
    .option('--disk <bytes>', 'disk space, e.g. 500Mb, 2Gb')
    .option('--gpu <n>', 'number of GPUs')
    .option('--network <type>', 'network of the job: none, http, full, bridge or host')
    .option('--domain <name>', 'domain that a job of network type http may reach (repeatable)', collect, [])
    .option('--timeout <time>', 'execution timeout: seconds, or 10m, 1h')
    .option('--queue-timeout <time>', 'time the job may wait for a node: seconds, or 10m, 1h')
    .option('--force', 'submit even if the job of that name would not change');
  return command;
}

function number(name: string, text: string): number {
  if (!/^-?\d{1,9}$/.test(text))
    throw new NodeError('CommandInvalid', `--${name} "${text}": expected a whole number`);
  return Number(text);
}

/** Whole seconds of "300" or "5m". @throws NodeError CommandInvalid */
export function seconds(name: string, text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text);
  try {
    return Math.ceil(parseDurationMs(text) / 1000);
  } catch (cause) {
    throw new NodeError(
      'CommandInvalid',
      `--${name} "${text}": expected seconds, or text such as "10m" or "1h30m"`,
      {
        cause,
      },
    );
  }
}

/** Pairs of "K=V" flags. @throws NodeError CommandInvalid */
export function pairs(name: string, texts: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at <= 0) throw new NodeError('CommandInvalid', `--${name} "${text}": expected name=value`);
    map[text.slice(0, at)] = text.slice(at + 1);
  }
  return map;
}

function resources(flags: SpecFlags): ResourcesConfig {
  const config: ResourcesConfig = {};
  const clean = (text: string): string => text.trim().toLowerCase();
  if (flags.cpu !== undefined) config.CPU = clean(flags.cpu);
  if (flags.memory !== undefined) config.Memory = clean(flags.memory);
  if (flags.disk !== undefined) config.Disk = clean(flags.disk);
  if (flags.gpu !== undefined) config.GPU = clean(flags.gpu);
  return config;
}

const NETWORKS = {
  none: 'None',
  http: 'HTTP',
  full: 'Full',
  bridge: 'Bridge',
  host: 'Host',
  default: 'Default',
} as const;

function isNetwork(name: string): name is keyof typeof NETWORKS {
  return Object.hasOwn(NETWORKS, name);
}

function network(flags: SpecFlags): NetworkConfig | undefined {
  if (flags.network === undefined && flags.domain.length === 0) return undefined;
  const name = (flags.network ?? 'http').toLowerCase();
  if (!isNetwork(name)) {
    throw new NodeError(
      'CommandInvalid',
      `--network "${flags.network ?? ''}": expected one of ${Object.keys(NETWORKS).join(', ')}`,
    );
  }
  return flags.domain.length === 0
    ? { Type: NETWORKS[name] }
    : { Type: NETWORKS[name], Domains: [...flags.domain] };
}

function timeouts(flags: SpecFlags): TimeoutConfig {
  const config: TimeoutConfig = {};
  if (flags.timeout !== undefined) config.ExecutionTimeout = seconds('timeout', flags.timeout);
  if (flags.queueTimeout !== undefined) config.QueueTimeout = seconds('queue-timeout', flags.queueTimeout);
  return config;
}

/** A job as the wire's clients send it: every key there, empty ones as null. */
export type JobDraft = Record<string, unknown>;

/** The keys that every submitted job has, with what they are where nobody said otherwise. */
export function emptyJob(): JobDraft {
  return {
    ID: '',
    Name: '',
    Namespace: '',
    Type: '',
    Priority: 0,
    Count: 1,
    Constraints: null,
    Meta: null,
    Labels: null,
    Tasks: null,
    State: { StateType: 'Undefined' },
    Version: 0,
    Revision: 0,
    CreateTime: 0,
    ModifyTime: 0,
  };
}

/**
 * The job that run flags describe. Inputs of the command's own come first.
 * @throws NodeError CommandInvalid
 */
export function jobOfFlags(
  engine: SpecConfig,
  flags: SpecFlags,
  ownInputs: readonly object[] = [],
): JobDraft {
  const type: JobType = flags.target === 'all' ? 'ops' : 'batch';
  const env = pairs('env', flags.env);
  const inputs = [...ownInputs, ...flags.input.map(parseInput)];
  const outputs = flags.output.map(parseOutput);
  const net = network(flags);
  const { concurrency, selector } = flags as { concurrency?: string; selector?: readonly string[] };
  return {
    ...emptyJob(),
    Name: flags.name ?? '',
    Namespace: flags.namespace,
    Type: type,
    Priority: number('priority', flags.priority),
    Count: type === 'ops' ? 0 : number('count', concurrency ?? flags.count),
    Constraints: parseConstraints([...flags.constraints, ...(selector ?? [])]),
    Labels: pairs(
      'labels',
      flags.labels.flatMap((text) => text.split(',')),
    ),
    Tasks: [
      {
        Name: flags.taskName,
        Engine: engine,
        Publisher: parsePublisher(flags.publisher),
        ...(Object.keys(env).length === 0 ? {} : { Env: env }),
        ...(inputs.length === 0 ? {} : { InputSources: inputs }),
        ...(outputs.length === 0 ? {} : { ResultPaths: outputs }),
        Resources: resources(flags),
        ...(net === undefined ? {} : { Network: net }),
        Timeouts: timeouts(flags),
      },
    ],
  };
}
