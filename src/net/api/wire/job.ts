import { nanoseconds } from '../../../core/clock.ts';
import type {
  InputSource,
  JobSpec,
  LabelSelectorRequirement,
  NetworkConfig,
  ResourcesConfig,
  ResultPath,
  SpecConfig,
  Task,
  TimeoutConfig,
} from '../../../core/job.ts';
import type { JobView } from '../../../requester/service.ts';
import type { StateText } from '../../../store/records.ts';

/** State of v1.9: `Message` and `Details` are left out when empty. */
export interface StateWire<T> {
  StateType: T;
  Message?: string;
  Details?: Readonly<Record<string, string>>;
}

/** Task of v1.9: what is empty is left out, but for Publisher, Resources, Network and Timeouts. */
export interface TaskWire {
  Name: string;
  Engine: SpecConfig;
  Publisher: SpecConfig;
  Env?: Record<string, string>;
  Meta?: Record<string, string>;
  InputSources?: InputSource[];
  ResultPaths?: ResultPath[];
  Resources: ResourcesConfig;
  Network: NetworkConfig;
  Timeouts: TimeoutConfig;
}

/** Job of v1.9. Times in nanoseconds. */
export interface JobWire {
  ID: string;
  Name: string;
  Namespace: string;
  Type: string;
  Priority: number;
  Count: number;
  Constraints: LabelSelectorRequirement[];
  Meta: Record<string, string>;
  Labels: Record<string, string>;
  Tasks: TaskWire[];
  State: StateWire<string>;
  Version: number;
  Revision: number;
  CreateTime: number;
  ModifyTime: number;
}

/** `state` with the wire's spelling of its type. */
export function stateToWire<T>(type: T, state: StateText<unknown>): StateWire<T> {
  const wire: StateWire<T> = { StateType: type };
  if (state.message !== '') wire.Message = state.message;
  if (state.details !== undefined && Object.keys(state.details).length > 0) wire.Details = state.details;
  return wire;
}

/** `Params` is left out when there are none. */
export function specToWire(spec: SpecConfig): SpecConfig {
  if (spec.Params === undefined || Object.keys(spec.Params).length === 0) return { Type: spec.Type };
  return { Type: spec.Type, Params: spec.Params };
}

function isFilled(value: object | undefined): boolean {
  return value !== undefined && Object.keys(value).length > 0;
}

function networkToWire(network: NetworkConfig): NetworkConfig {
  const wire: NetworkConfig = { Type: network.Type };
  if (network.Domains !== undefined && isFilled(network.Domains)) wire.Domains = network.Domains;
  if (network.Ports !== undefined && isFilled(network.Ports)) wire.Ports = network.Ports;
  return wire;
}

function withoutEmpty<T extends object>(value: T): T {
  const kept = Object.entries(value).filter(([, one]) => one !== '' && one !== 0 && one !== undefined);
  return Object.fromEntries(kept) as T;
}

function taskToWire(task: Task): TaskWire {
  return {
    Name: task.Name,
    Engine: specToWire(task.Engine),
    Publisher: specToWire(task.Publisher),
    ...(task.Env !== undefined && isFilled(task.Env) ? { Env: task.Env } : {}),
    ...(task.Meta !== undefined && isFilled(task.Meta) ? { Meta: task.Meta } : {}),
    ...(task.InputSources !== undefined && isFilled(task.InputSources)
      ? {
          InputSources: task.InputSources.map(({ Source, Alias, Target }) => ({
            Source: specToWire(Source),
            Alias,
            Target,
          })),
        }
      : {}),
    ...(task.ResultPaths !== undefined && isFilled(task.ResultPaths)
      ? { ResultPaths: task.ResultPaths }
      : {}),
    Resources: withoutEmpty(task.Resources),
    Network: networkToWire(task.Network),
    Timeouts: withoutEmpty(task.Timeouts),
  };
}

/** The part of a job that its owner wrote, in the wire's shape. */
export function jobSpecToWire(
  spec: JobSpec,
): Omit<JobWire, 'State' | 'Version' | 'Revision' | 'CreateTime' | 'ModifyTime'> {
  return {
    ID: spec.ID,
    Name: spec.Name,
    Namespace: spec.Namespace,
    Type: spec.Type,
    Priority: spec.Priority,
    Count: spec.Count,
    Constraints: spec.Constraints,
    Meta: spec.Meta,
    Labels: spec.Labels,
    Tasks: spec.Tasks.map(taskToWire),
  };
}

/** A job as `GET jobs/:id` shows it. */
export function jobToWire(view: JobView): JobWire {
  const { record, spec } = view;
  return {
    ...jobSpecToWire(spec),
    ID: record.id,
    State: stateToWire(record.state.type, record.state),
    Version: record.version,
    Revision: record.revision,
    CreateTime: nanoseconds(record.createTime),
    ModifyTime: nanoseconds(record.modifyTime),
  };
}
