import type { JobId } from './ids.ts';

/**
 * Job model of the REST wire (Bacalhau v1.9). Keys are PascalCase because these objects are the wire.
 * A job kept by the node has been normalised by the ingest stage: no null arrays or maps, defaults filled in.
 */
export type JobType = 'batch' | 'ops' | 'service' | 'daemon';

/** Engine, storage or publisher by name with its own parameters. Names compare case-insensitively. */
export interface SpecConfig {
  Type: string;
  Params?: Record<string, unknown>;
}

/** A file or folder the job reads. `Target` is where it is mounted. */
export interface InputSource {
  Source: SpecConfig;
  Alias: string;
  Target: string;
}

/** A folder the job writes, published under `Name`. */
export interface ResultPath {
  Name: string;
  Path: string;
}

/** Resources as people write them ("500m", "512mb"). Grammar: core/resources.ts. */
export interface ResourcesConfig {
  CPU?: string;
  Memory?: string;
  Disk?: string;
  GPU?: string;
}

export type NetworkType = 'Default' | 'None' | 'Host' | 'Full' | 'HTTP' | 'Bridge';

export interface PortMapping {
  Name: string;
  Static?: number;
  Target?: number;
  HostNetwork?: string;
}

export interface NetworkConfig {
  Type: NetworkType;
  Domains?: string[];
  Ports?: PortMapping[];
}

/** Seconds; absent or 0 means none was asked for. */
export interface TimeoutConfig {
  ExecutionTimeout?: number;
  QueueTimeout?: number;
  TotalTimeout?: number;
}

export interface LabelSelectorRequirement {
  Key: string;
  Operator: string;
  Values?: string[];
}

export interface Task {
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

/** The part of a job that its owner wrote: what is stored once, as JSON bytes, and never changes within a version. */
export interface JobSpec {
  ID: JobId;
  Name: string;
  Namespace: string;
  Type: JobType;
  Priority: number;
  Count: number;
  Constraints: LabelSelectorRequirement[];
  Meta: Record<string, string>;
  Labels: Record<string, string>;
  /** Exactly one. */
  Tasks: [Task];
}

/** What an engine reports of a finished run. `stderr` is lower-case on the wire. */
export interface RunCommandResult {
  Stdout: string;
  StdoutTruncated: boolean;
  stderr: string;
  StderrTruncated: boolean;
  ExitCode: number;
  ErrorMsg: string;
}

/** Resources as numbers: cores, bytes, bytes, count. */
export interface Resources {
  readonly cpu: number;
  readonly memory: number;
  readonly disk: number;
  readonly gpu: number;
}

export type GpuVendor = 'NVIDIA' | 'AMD/ATI' | 'Intel';

export interface Gpu {
  Index: number;
  Name: string;
  Vendor: GpuVendor;
  /** MiB. */
  Memory: number;
  PCIAddress: string;
  /** Vendor's own id where it gives one. */
  UUID?: string;
}

/** How many bytes of each stream a result keeps inline. */
export const RUN_OUTPUT_BYTES = 2048;
