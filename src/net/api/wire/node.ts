import type { Gpu, Resources } from '../../../core/job.ts';
import type { ComputeInfo, NodeInfo } from '../../../core/node-info.ts';
import { type ResourcesWire, resourcesToWire } from '../../../core/resources.ts';
import type { NodeView } from '../../../requester/service.ts';
import { wireTime } from './time.ts';

/** What was built, when and for what. */
export interface BuildInfo {
  /** "v1.9.3". */
  readonly gitVersion: string;
  readonly gitCommit: string;
  /** RFC 3339; "0001-01-01T00:00:00Z" when unknown. */
  readonly buildDate: string;
  /** Go's names: "linux", "darwin", "windows". */
  readonly os: string;
  /** Go's names: "amd64", "arm64". */
  readonly arch: string;
}

/** BuildVersionInfo of v1.9. */
export interface VersionWire {
  Major?: string;
  Minor?: string;
  GitVersion: string;
  GitCommit: string;
  BuildDate: string;
  GOOS: string;
  GOARCH: string;
}

/** ComputeNodeInfo of v1.9; `address` is lower case on the wire. */
export interface ComputeNodeWire {
  ExecutionEngines: readonly string[];
  Publishers: readonly string[];
  StorageSources: readonly string[];
  MaxCapacity: CapacityWire;
  /** What waiting executions take up: Bacalhau's own name of the field is QueueUsedCapacity. */
  QueueCapacity: CapacityWire;
  AvailableCapacity: CapacityWire;
  MaxJobRequirements: CapacityWire;
  RunningExecutions: number;
  EnqueuedExecutions: number;
  address: string;
}

/** Resources of a node: numbers, and which GPUs they are. */
export interface CapacityWire extends ResourcesWire {
  GPUs?: readonly Omit<Gpu, 'UUID'>[];
}

/** NodeInfo of v1.9. */
export interface NodeInfoWire {
  NodeID: string;
  NodeType: 'Compute' | 'Requester';
  Labels: Readonly<Record<string, string>>;
  SupportedProtocols: readonly string[];
  ComputeNodeInfo: ComputeNodeWire;
  BacalhauVersion: VersionWire;
}

/** NodeState of v1.9. */
export interface NodeStateWire {
  Info: NodeInfoWire;
  Membership: string;
  Connection: string;
  ConnectionState: {
    Status: string;
    LastHeartbeat: string;
    ConnectedSince: string;
    DisconnectedSince: string;
  };
}

/** The names Node and Go have for this machine are not the same. */
const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };
const GO_SYSTEMS: Readonly<Record<string, string>> = { win32: 'windows' };

/** Go's name of a Node `process.arch`. */
export function goArch(arch: string): string {
  return GO_ARCHITECTURES[arch] ?? arch;
}

/** Go's name of a Node `process.platform`. */
export function goOs(platform: string): string {
  return GO_SYSTEMS[platform] ?? platform;
}

/** Major and minor are left out where the version is not of the form "v1.9...". */
export function versionToWire(build: BuildInfo): VersionWire {
  const numbers = /^v?(\d+)\.(\d+)/.exec(build.gitVersion);
  return {
    ...(numbers === null ? {} : { Major: numbers[1] ?? '', Minor: numbers[2] ?? '' }),
    GitVersion: build.gitVersion,
    GitCommit: build.gitCommit,
    BuildDate: build.buildDate,
    GOOS: build.os,
    GOARCH: build.arch,
  };
}

function capacity(resources: Resources | undefined, gpus: readonly Gpu[] = []): CapacityWire {
  if (resources === undefined) return {};
  const wire: CapacityWire = resourcesToWire(resources);
  if (gpus.length > 0) {
    wire.GPUs = gpus.map(({ Index, Name, Vendor, Memory, PCIAddress }) => ({
      Index,
      Name,
      Vendor,
      Memory,
      PCIAddress,
    }));
  }
  return wire;
}

function computeToWire(compute: ComputeInfo | null): ComputeNodeWire {
  return {
    ExecutionEngines: compute?.engines ?? [],
    Publishers: compute?.publishers ?? [],
    StorageSources: compute?.storages ?? [],
    MaxCapacity: capacity(compute?.maxCapacity, compute?.gpus),
    QueueCapacity: capacity(compute?.queuedCapacity),
    AvailableCapacity: capacity(compute?.availableCapacity),
    MaxJobRequirements: capacity(compute?.maxJobRequirements),
    RunningExecutions: compute?.runningExecutions ?? 0,
    EnqueuedExecutions: compute?.enqueuedExecutions ?? 0,
    address: '',
  };
}

/** What a node says of itself. @param build of this node: others tell their version only */
export function nodeInfoToWire(info: NodeInfo, build: BuildInfo): NodeInfoWire {
  const version = info.version === build.gitVersion ? build : { ...build, gitVersion: info.version };
  return {
    NodeID: info.nodeId,
    NodeType: info.roles.compute ? 'Compute' : 'Requester',
    Labels: info.labels,
    SupportedProtocols: ['bprotocol/v2', 'ncl/v1'],
    ComputeNodeInfo: computeToWire(info.compute),
    BacalhauVersion: versionToWire(version),
  };
}

/** A node as `GET nodes` shows it. */
export function nodeStateToWire(view: NodeView, build: BuildInfo): NodeStateWire {
  return {
    Info: nodeInfoToWire(view.info, build),
    Membership: view.membership,
    Connection: view.connection,
    ConnectionState: {
      Status: view.connection,
      LastHeartbeat: wireTime(view.lastHeartbeat),
      ConnectedSince: wireTime(view.connectedSince),
      DisconnectedSince: wireTime(view.disconnectedSince),
    },
  };
}
