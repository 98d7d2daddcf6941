import { headerOfRead, type ReadSpec, readSpec } from '../../core/headers.ts';
import type { ExecutionHeader, Finished, Placement } from '../../core/item.ts';
import type { Gpu, Resources } from '../../core/job.ts';
import type { PreparedInput, RunReport } from '../../engines/engine.ts';
import type { StorageOptions } from '../bid/protocol.ts';

export interface ExecuteInput {
  readonly header: ExecutionHeader;
  /** JobSpec JSON bytes. */
  readonly spec: Uint8Array;
  readonly placement: Placement;
  readonly gpus: readonly Gpu[];
}

/** The same as it goes down to a supervise thread: values in a fixed order, as in `ReadSpec`. */
export type ExecuteRow = readonly [
  jobId: string,
  jobVersion: number,
  requesterId: string,
  resources: Resources,
  read: ReadSpec,
  spec: Uint8Array,
  directory: string,
  gpus: readonly Gpu[],
];

export function executeRow({ header, spec, placement, gpus }: ExecuteInput): ExecuteRow {
  const { jobId, jobVersion, requesterId, resources } = header;
  return [jobId, jobVersion, requesterId, resources, readSpec(header), spec, placement.directory, gpus];
}

/** The input again. */
export function executeInput(executionId: string, row: ExecuteRow): ExecuteInput {
  const [jobId, jobVersion, requesterId, resources, read, spec, directory, gpus] = row;
  return {
    header: headerOfRead({ executionId, jobId, jobVersion, requesterId }, resources, read),
    spec,
    placement: { directory, gpus: gpus.map((gpu) => gpu.Index) },
    gpus,
  };
}

/** The supervise pool prepares inputs for all engines and runs docker and mock; a WASM job goes on to its own pool. */
export type ExecuteOutput =
  | ({ readonly kind: 'finished' } & Finished)
  | { readonly kind: 'prepared'; readonly inputs: readonly PreparedInput[]; readonly inputBytes: number };

export interface WasmInput extends ExecuteInput {
  /** Of a fileless one none: its thread reads them in the spec. */
  readonly inputs: readonly PreparedInput[];
  /** Words of this item's RunSlot. */
  readonly slot: Int32Array;
}

/** `notStarted`: the spine had taken the item back; nothing was done. */
export type WasmOutput = ({ readonly kind: 'finished' } & Finished) | { readonly kind: 'notStarted' };

/** Reports of both pools: those of a run, and the phases before it. */
export type ExecuteReport = RunReport | { readonly kind: 'preparing' };

export interface ExecuteOptions {
  readonly nodeId: string;
  readonly storages: StorageOptions;
  /** Of the Docker Engine, as `parseDockerHost` reads it; "" for the system's socket. */
  readonly dockerHost: string;
  /** Docker network jobs of type Bridge and Full are put in; made and owned by the node. */
  readonly acceptNetworked: boolean;
  readonly maxStreamBytes: number;
  /** Most bytes of all result paths together, of a job that asks for no disk. */
  readonly maxResultBytes: number;
  /** Names of host environment variables a Task.Env value "env:NAME" may copy; a trailing "*" matches any rest. */
  readonly envAllowList: readonly string[];
  /** The host's variables that the allow-list names; only config reads the environment. */
  readonly hostEnv: Readonly<Record<string, string>>;
  /** True lets a job of network type Host share the host's network; needs `acceptNetworked` too. */
  readonly allowHostNetwork: boolean;
  /** Docker Hub account for private images; "" for none. */
  readonly dockerUsername: string;
  readonly dockerPassword: string;
}
