import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { JobSpec } from '../../core/job.ts';
import { parseResources } from '../../core/resources.ts';
import type { PreparedInput, RunRequest } from '../../engines/engine.ts';
import type { ExecuteInput, ExecuteOptions } from './protocol.ts';

/** The settings that shape a run request, as ExecuteOptions names them. */
export type RunRequestOptions = Pick<
  ExecuteOptions,
  'maxStreamBytes' | 'maxResultBytes' | 'envAllowList' | 'hostEnv'
>;

const HOST_VARIABLE = 'env:';
const RESERVED_PREFIX = 'BACALHAU_';
const decoder = new TextDecoder();

/** The spec of an execution: bytes that the ingest stage has checked. */
export function parseSpec(bytes: Uint8Array): JobSpec {
  return JSON.parse(decoder.decode(bytes)) as JobSpec;
}

/** Absolute folder of an execution's results, in its placement. */
export function resultsDirectoryOf(input: ExecuteInput): string {
  return join(input.placement.directory, 'results');
}

/** Whether the execution's folder exists. */
export function hasFiles({ header, placement }: ExecuteInput): boolean {
  return !header.fileless || existsSync(placement.directory);
}

/**
 * Bytes that the inputs of an execution, and its result paths, may take. A job that asks for no disk has the node's own
 * limit: what the bid reserved for it is only as much of its inputs as could be told beforehand.
 */
export function diskLimit(header: ExecutionHeader, spec: JobSpec, maxResultBytes: number): number {
  const asked = parseResources(spec.Tasks[0].Resources).disk;
  return asked > 0 ? Math.max(asked, header.resources.disk) : maxResultBytes;
}

/**
 * What an engine is asked to run. The environment is Task.Env with its "env:NAME" values copied from the host,
 * then the node's own variables.
 * @throws NodeError ValidationFailed; EngineFailed where a GPU is missing that the node offers
 */
export function buildRunRequest(
  input: ExecuteInput,
  inputs: readonly PreparedInput[],
  options: RunRequestOptions,
  spec: JobSpec = parseSpec(input.spec),
): RunRequest {
  const { header } = input;
  if (input.gpus.length < header.resources.gpu) {
    throw new NodeError(
      'EngineFailed',
      `${header.resources.gpu} GPUs were asked for and ${input.gpus.length} of those assigned exist on this node (its operator offers more than were found)`,
    );
  }
  return {
    header,
    spec,
    placement: input.placement,
    inputs,
    resultsDirectory: resultsDirectoryOf(input),
    gpus: input.gpus,
    env: {
      ...resolveTaskEnv(spec.Tasks[0].Env ?? {}, options),
      BACALHAU_EXECUTION_ID: header.executionId,
      BACALHAU_JOB_ID: header.jobId,
      BACALHAU_JOB_TYPE: header.jobType,
      BACALHAU_PARTITION_INDEX: '0',
      BACALHAU_PARTITION_COUNT: '1',
    },
    maxStreamBytes: options.maxStreamBytes,
    maxResultBytes: diskLimit(header, spec, options.maxResultBytes),
  };
}

function resolveTaskEnv(
  env: Readonly<Record<string, string>>,
  options: RunRequestOptions,
): Record<string, string> {
  const resolved: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name.toUpperCase().startsWith(RESERVED_PREFIX)) {
      throw new NodeError(
        'ValidationFailed',
        `Tasks[0].Env.${name}: names that begin with ${RESERVED_PREFIX} are set by the node (expected another name)`,
      );
    }
    resolved[name] = value.startsWith(HOST_VARIABLE)
      ? hostVariable(name, value.slice(HOST_VARIABLE.length), options)
      : value;
  }
  return resolved;
}

function hostVariable(name: string, wanted: string, options: RunRequestOptions): string {
  if (!options.envAllowList.some((allowed) => matches(allowed, wanted))) {
    throw new NodeError(
      'ValidationFailed',
      `Tasks[0].Env.${name}: host variable ${wanted} is not in this node's allow-list (expected a name the operator lists, or a literal value)`,
    );
  }
  const value = Object.hasOwn(options.hostEnv, wanted) ? options.hostEnv[wanted] : undefined;
  if (value === undefined) {
    throw new NodeError(
      'ValidationFailed',
      `Tasks[0].Env.${name}: host variable ${wanted} is not set on this node (expected it to be set)`,
    );
  }
  return value;
}

function matches(allowed: string, name: string): boolean {
  return allowed.endsWith('*') ? name.startsWith(allowed.slice(0, -1)) : allowed === name;
}
