import { typeKey } from '../../core/headers.ts';
import type {
  InputSource,
  JobSpec,
  LabelSelectorRequirement,
  NetworkConfig,
  NetworkType,
  PortMapping,
  ResourcesConfig,
  ResultPath,
  Task,
  TimeoutConfig,
} from '../../core/job.ts';
import type { Faults } from './faults.ts';
import {
  fields,
  readInteger,
  readList,
  readStruct,
  readText,
  readTextMap,
  readTexts,
  type Source,
} from './keys.ts';
import { normaliseSpecConfig } from './params.ts';
import { translateWasmModules } from './wasm-modules.ts';

/** A job of the right shape whose values are not checked yet. */
export interface DraftJob extends Omit<JobSpec, 'Type' | 'Tasks'> {
  Type: string;
  Tasks: Task[];
}

/** Fields that belong to the server: what a submitter wrote there is dropped with a warning. */
export interface ServerFields {
  readonly state: boolean;
  readonly version: boolean;
  readonly revision: boolean;
  readonly createTime: boolean;
  readonly modifyTime: boolean;
}

/** What the ingest stage makes of an object that should be a job. */
export interface NormalisedJob {
  readonly job: DraftJob;
  readonly server: ServerFields;
  /** Parts that were translated from older forms. */
  readonly warnings: readonly string[];
}

const JOB = fields(
  'ID',
  'Name',
  'Namespace',
  'Type',
  'Priority',
  'Count',
  'Constraints',
  'Meta',
  'Labels',
  'Tasks',
  'State',
  'Version',
  'Revision',
  'CreateTime',
  'ModifyTime',
);
const TASK = fields(
  'Name',
  'Engine',
  'Publisher',
  'Env',
  'Meta',
  'InputSources',
  'ResultPaths',
  'Resources',
  'Network',
  'Timeouts',
);
const INPUT_SOURCE = fields('Source', 'Alias', 'Target');
const RESULT_PATH = fields('Name', 'Path');
const RESOURCES = fields('CPU', 'Memory', 'Disk', 'GPU');
const NETWORK = fields('Type', 'Domains', 'Ports');
const PORT = fields('Name', 'Static', 'Target', 'HostNetwork');
const TIMEOUTS = fields('ExecutionTimeout', 'QueueTimeout', 'TotalTimeout');
const REQUIREMENT = fields('Key', 'Operator', 'Values');

const NETWORK_TYPES: ReadonlyMap<string, NetworkType> = new Map(
  (['Default', 'None', 'Host', 'Full', 'HTTP', 'Bridge'] as const).map((type) => [type.toLowerCase(), type]),
);

/**
 * A job with every field in its place, its own name and order, nulls and holes filled: Bacalhau v1.9's
 * `Job.Normalize`. Values of a wrong type are faults; whether values make sense is `validateJob`'s matter.
 */
export function normaliseJob(value: unknown, path: string, faults: Faults): NormalisedJob {
  const struct = readStruct(value, path, JOB, faults);
  const type = readText(struct, 'Type', path, faults);
  const warnings = new Set<string>();
  const job: DraftJob = {
    ID: readText(struct, 'ID', path, faults),
    Name: readText(struct, 'Name', path, faults),
    Namespace: readText(struct, 'Namespace', path, faults) || 'default',
    Type: type,
    Priority: readInteger(struct, 'Priority', path, faults, 0),
    Count: normaliseCount(type, struct, path, faults),
    Constraints: readList(struct['Constraints'], `${path}.Constraints`, faults).map((requirement, index) =>
      normaliseRequirement(requirement, `${path}.Constraints[${index}]`, faults),
    ),
    Meta: readTextMap(struct['Meta'], `${path}.Meta`, faults),
    Labels: readTextMap(struct['Labels'], `${path}.Labels`, faults),
    Tasks: [],
  };
  const tasks = readList(struct['Tasks'], `${path}.Tasks`, faults);
  if (tasks.length === 0) {
    faults.missing(path, 'Tasks', 'missing job tasks (expected an array with one task)');
  }
  for (const [index, task] of tasks.entries()) {
    job.Tasks.push(normaliseTask(task, `${path}.Tasks[${index}]`, faults, warnings));
  }
  return { job, server: serverFields(struct), warnings: [...warnings] };
}

/** Absent means 1 for batch and service; ops and daemon run wherever they match, so their count is 0. */
function normaliseCount(type: string, struct: Source, path: string, faults: Faults): number {
  const everywhere = type === 'ops' || type === 'daemon';
  const count = readInteger(struct, 'Count', path, faults, everywhere ? 0 : 1);
  return everywhere && count === 1 ? 0 : count;
}

function serverFields(struct: Source): ServerFields {
  const state = struct['State'];
  const stateType =
    typeof state === 'object' && state !== null ? (state as Source)['StateType'] : (state ?? undefined);
  const set = (key: string): boolean =>
    struct[key] !== undefined && struct[key] !== null && struct[key] !== 0;
  return {
    state: typeof stateType === 'string' && stateType !== '' && stateType.toLowerCase() !== 'undefined',
    version: set('Version'),
    revision: set('Revision'),
    createTime: set('CreateTime'),
    modifyTime: set('ModifyTime'),
  };
}

function normaliseTask(value: unknown, path: string, faults: Faults, warnings: Set<string>): Task {
  const struct = readStruct(value, path, TASK, faults);
  const modern = translateWasmModules(struct, warnings);
  if (modern['Engine'] === undefined || modern['Engine'] === null) {
    faults.missing(path, 'Engine', 'missing engine (expected {"Type": "docker" or "wasm", "Params": {...}})');
  }
  const env = readTextMap(modern['Env'], `${path}.Env`, faults);
  const meta = readTextMap(modern['Meta'], `${path}.Meta`, faults);
  const inputs = normaliseInputs(modern['InputSources'], `${path}.InputSources`, faults);
  const results = normaliseResults(modern['ResultPaths'], `${path}.ResultPaths`, faults);
  return {
    Name: readText(modern, 'Name', path, faults),
    Engine: normaliseSpecConfig(modern['Engine'], 'engine', `${path}.Engine`, faults),
    Publisher: normaliseSpecConfig(modern['Publisher'], 'publisher', `${path}.Publisher`, faults),
    ...(isEmpty(env) ? {} : { Env: env }),
    ...(isEmpty(meta) ? {} : { Meta: meta }),
    ...(inputs.length === 0 ? {} : { InputSources: inputs }),
    ...(results.length === 0 ? {} : { ResultPaths: results }),
    Resources: normaliseResources(modern['Resources'], `${path}.Resources`, faults),
    Network: normaliseNetwork(modern['Network'], `${path}.Network`, faults),
    Timeouts: normaliseTimeouts(modern['Timeouts'], `${path}.Timeouts`, faults),
  };
}

function isEmpty(map: Readonly<Record<string, string>>): boolean {
  for (const _ in map) return false;
  return true;
}

function normaliseInputs(value: unknown, path: string, faults: Faults): InputSource[] {
  return readList(value, path, faults).map((element, index) => {
    const at = `${path}[${index}]`;
    const struct = readStruct(element, at, INPUT_SOURCE, faults);
    return {
      Source: normaliseSpecConfig(struct['Source'], 'storage', `${at}.Source`, faults),
      Alias: readText(struct, 'Alias', at, faults),
      Target: readText(struct, 'Target', at, faults),
    };
  });
}

function normaliseResults(value: unknown, path: string, faults: Faults): ResultPath[] {
  return readList(value, path, faults).map((element, index) => {
    const at = `${path}[${index}]`;
    const struct = readStruct(element, at, RESULT_PATH, faults);
    return { Name: readText(struct, 'Name', at, faults), Path: readText(struct, 'Path', at, faults) };
  });
}

function normaliseResources(value: unknown, path: string, faults: Faults): ResourcesConfig {
  const struct = readStruct(value, path, RESOURCES, faults);
  const resources: ResourcesConfig = {};
  for (const key of ['CPU', 'Memory', 'Disk', 'GPU'] as const) {
    const given = struct[key];
    // YAML writes `CPU: 2` for "2".
    const text = typeof given === 'number' ? String(given) : readText(struct, key, path, faults);
    const squeezed = text.toLowerCase().replaceAll(/\s+/g, '');
    if (squeezed !== '') resources[key] = squeezed;
  }
  return resources;
}

function normaliseNetwork(value: unknown, path: string, faults: Faults): NetworkConfig {
  const struct = readStruct(value, path, NETWORK, faults);
  const given = readText(struct, 'Type', path, faults);
  const type = given === '' ? 'Default' : NETWORK_TYPES.get(typeKey(given));
  if (type === undefined) {
    const names = [...NETWORK_TYPES.values()].join(', ');
    faults.add(`${path}.Type`, `unknown network type "${given}" (expected one of ${names})`);
  }
  const domains = readTexts(struct['Domains'], `${path}.Domains`, faults).map((domain) =>
    domain.trim().toLowerCase(),
  );
  const ports = readList(struct['Ports'], `${path}.Ports`, faults).map((port, index) =>
    normalisePort(port, `${path}.Ports[${index}]`, faults),
  );
  return {
    Type: type ?? 'Default',
    ...(domains.length === 0 ? {} : { Domains: domains }),
    ...(ports.length === 0 ? {} : { Ports: ports }),
  };
}

function normalisePort(value: unknown, path: string, faults: Faults): PortMapping {
  const struct = readStruct(value, path, PORT, faults);
  const fixed = readInteger(struct, 'Static', path, faults, 0);
  const target = readInteger(struct, 'Target', path, faults, 0);
  const hostNetwork = readText(struct, 'HostNetwork', path, faults);
  return {
    Name: readText(struct, 'Name', path, faults),
    ...(fixed === 0 ? {} : { Static: fixed }),
    ...(target === 0 ? {} : { Target: target }),
    ...(hostNetwork === '' ? {} : { HostNetwork: hostNetwork }),
  };
}

function normaliseTimeouts(value: unknown, path: string, faults: Faults): TimeoutConfig {
  const struct = readStruct(value, path, TIMEOUTS, faults);
  const timeouts: TimeoutConfig = {};
  for (const key of ['ExecutionTimeout', 'QueueTimeout', 'TotalTimeout'] as const) {
    const seconds = readInteger(struct, key, path, faults, 0);
    if (seconds !== 0) timeouts[key] = seconds;
  }
  return timeouts;
}

function normaliseRequirement(value: unknown, path: string, faults: Faults): LabelSelectorRequirement {
  const struct = readStruct(value, path, REQUIREMENT, faults);
  const values = readTexts(struct['Values'], `${path}.Values`, faults);
  return {
    Key: readText(struct, 'Key', path, faults),
    Operator: readText(struct, 'Operator', path, faults),
    ...(values.length === 0 ? {} : { Values: values }),
  };
}
