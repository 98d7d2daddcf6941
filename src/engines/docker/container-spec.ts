import { join, posix } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { RunRequest } from '../engine.ts';
import type { ContainerDevices } from './devices.ts';
import { type ImageReference, parseImageReference } from './image-reference.ts';
import { containerLabels } from './labels.ts';
import { dockerLimits } from './limits.ts';

/** Engine.Params of a Docker task. */
export interface DockerParams {
  readonly image: ImageReference;
  readonly entrypoint: readonly string[] | undefined;
  readonly parameters: readonly string[] | undefined;
  /** "K=V" entries. */
  readonly environment: readonly string[];
  readonly workingDirectory: string | undefined;
}

interface BindMount {
  readonly Type: 'bind';
  readonly Source: string;
  readonly Target: string;
  readonly ReadOnly: boolean;
  readonly BindOptions?: { readonly NonRecursive: boolean };
}

/** Body of a create, as far as the node uses it (Docker Engine API 1.41). */
export interface ContainerBody {
  readonly Image: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env: readonly string[];
  readonly WorkingDir?: string;
  readonly Tty: false;
  readonly OpenStdin: false;
  readonly AttachStdout: true;
  readonly AttachStderr: true;
  readonly StopTimeout: number;
  readonly Healthcheck: { readonly Test: readonly string[] };
  readonly Labels: Readonly<Record<string, string>>;
  readonly NetworkDisabled?: true;
  readonly HostConfig: {
    readonly Mounts: readonly BindMount[];
    readonly NetworkMode: string;
    readonly NanoCpus?: number;
    readonly Memory?: number;
    readonly MemorySwap?: number;
    readonly PidsLimit: number;
    readonly SecurityOpt: readonly string[];
    readonly CapDrop: readonly string[];
    readonly CapAdd: readonly string[];
    readonly LogConfig: { readonly Type: string; readonly Config: Readonly<Record<string, string>> };
  } & ContainerDevices;
}

/**
 * Capabilities a container keeps: what package managers and images that start as root and then change to a user
 * of their own need. All act only on what the container owns. Docker's default set minus those for device nodes,
 * raw sockets, chroot, file capabilities, ports below 1024 and the audit log.
 */
const CAPABILITIES = [
  // tar, apt and entry points hand files to the user that will use them.
  'CHOWN',
  // Root reads and writes files of other users, as every image built as root expects.
  'DAC_OVERRIDE',
  // chmod and utime on such files.
  'FOWNER',
  // gosu, su-exec and daemons leave root for another user and group.
  'SETUID',
  'SETGID',
  // An init that runs as root ends children that have left it.
  'KILL',
];

const HOSTS_TARGET = '/etc/hosts';

/** Mount points that the container runtime refuses, because the kernel's own files live there. */
const RESERVED_TARGETS = /^\/(?:proc|sys)(?:\/|$)/;

/**
 * Reads Engine.Params.
 * @throws NodeError ValidationFailed
 */
export function parseDockerParams(params: Readonly<Record<string, unknown>> | undefined): DockerParams {
  const image = params?.['Image'];
  if (typeof image !== 'string' || image === '') {
    throw new NodeError('ValidationFailed', 'Tasks[0].Engine.Params.Image: missing (expected an image name)');
  }
  const directory = params?.['WorkingDirectory'] ?? '';
  if (typeof directory !== 'string' || (directory !== '' && !directory.startsWith('/'))) {
    throw new NodeError(
      'ValidationFailed',
      `Tasks[0].Engine.Params.WorkingDirectory: ${JSON.stringify(directory)} (expected an absolute path)`,
    );
  }
  const environment = strings(params, 'EnvironmentVariables');
  for (const entry of environment) {
    if (!/^[^=\0]+=[^\0]*$/.test(entry)) {
      throw new NodeError(
        'ValidationFailed',
        `Tasks[0].Engine.Params.EnvironmentVariables: ${JSON.stringify(entry.split('=')[0])} (expected "NAME=value")`,
      );
    }
  }
  return {
    image: parseImageReference(image),
    entrypoint: optional(strings(params, 'Entrypoint')),
    parameters: optional(strings(params, 'Parameters')),
    environment,
    workingDirectory: directory === '' ? undefined : directory,
  };
}

function strings(params: Readonly<Record<string, unknown>> | undefined, name: string): string[] {
  const value = params?.[name] ?? [];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string')) {
    throw new NodeError('ValidationFailed', `Tasks[0].Engine.Params.${name}: expected a list of strings`);
  }
  return value;
}

function optional(list: string[]): string[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** How a container is connected. */
export interface ContainerLink {
  /** "none", "host" or the id of a network. */
  readonly mode: string;
  /** Of a container that Docker's networking leaves alone: the file on this machine that is its /etc/hosts. */
  readonly hostsFile?: string;
}

/**
 * The container of an execution.
 * @throws NodeError ValidationFailed
 */
export function containerBody(
  nodeId: string,
  params: DockerParams,
  request: RunRequest,
  link: ContainerLink,
  devices: ContainerDevices,
): ContainerBody {
  const { cpu, memory } = request.header.resources;
  const memoryBytes = Math.max(Math.floor(memory), dockerLimits.minMemoryBytes);
  return {
    Image: params.image.full,
    ...(params.entrypoint && { Entrypoint: params.entrypoint }),
    ...(params.parameters && { Cmd: params.parameters }),
    Env: environmentOf(params.environment, request.env),
    ...(params.workingDirectory !== undefined && { WorkingDir: params.workingDirectory }),
    Tty: false,
    OpenStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    StopTimeout: dockerLimits.stopGraceSeconds,
    // An image's own health check would start processes the job did not ask for.
    Healthcheck: { Test: ['NONE'] },
    Labels: containerLabels(nodeId, request.header),
    ...(link.hostsFile !== undefined && { NetworkDisabled: true }),
    HostConfig: {
      Mounts: mountsOf(request, link.hostsFile),
      NetworkMode: link.mode,
      ...(cpu > 0 && { NanoCpus: Math.round(Math.max(cpu, dockerLimits.minCpus) * 1e9) }),
      // Equal limits leave no swap.
      ...(memory > 0 && { Memory: memoryBytes, MemorySwap: memoryBytes }),
      PidsLimit: dockerLimits.pidsPerContainer,
      SecurityOpt: ['no-new-privileges'],
      CapDrop: ['ALL'],
      CapAdd: CAPABILITIES,
      // The node keeps the output; a log driver would store it again, without a limit.
      LogConfig: { Type: 'none', Config: {} },
      ...devices,
    },
  };
}

/** Later entries replace earlier ones of the same name: the image's parameters, Task.Env, the node's own. */
function environmentOf(parameters: readonly string[], env: Readonly<Record<string, string>>): string[] {
  const merged = new Map<string, string>();
  for (const entry of parameters) {
    const at = entry.indexOf('=');
    merged.set(entry.slice(0, at), entry.slice(at + 1));
  }
  for (const [name, value] of Object.entries(env)) merged.set(name, value);
  return Array.from(merged, ([name, value]) => `${name}=${value}`);
}

function mountsOf(request: RunRequest, hostsFile: string | undefined): BindMount[] {
  const mounts: BindMount[] = [];
  const taken = new Set<string>();
  const claim = (target: string, where: string): string => {
    const path = posix.normalize(target).replace(/\/+$/, '');
    if (!target.startsWith('/') || path === '' || target.includes('\0') || RESERVED_TARGETS.test(path)) {
      throw new NodeError(
        'ValidationFailed',
        `${where}: ${JSON.stringify(target)} cannot be mounted (expected an absolute path below /, not in /proc or /sys)`,
      );
    }
    if (taken.has(path)) {
      throw new NodeError('ValidationFailed', `${where}: ${path} is mounted twice (expected distinct paths)`);
    }
    taken.add(path);
    return path;
  };
  for (const [index, input] of request.inputs.entries()) {
    mounts.push({
      Type: 'bind',
      Source: input.path,
      Target: claim(input.target, `Tasks[0].InputSources[${index}].Target`),
      ReadOnly: input.readOnly,
      // Read-only does not reach file systems mounted below the source; they are left out.
      ...(input.readOnly && { BindOptions: { NonRecursive: true } }),
    });
  }
  for (const [index, result] of (request.spec.Tasks[0].ResultPaths ?? []).entries()) {
    mounts.push({
      Type: 'bind',
      Source: join(request.resultsDirectory, result.Name),
      Target: claim(result.Path, `Tasks[0].ResultPaths[${index}].Path`),
      ReadOnly: false,
    });
  }
  // A job that brings its own has its own.
  if (hostsFile !== undefined && !taken.has(HOSTS_TARGET)) {
    mounts.push({ Type: 'bind', Source: hostsFile, Target: HOSTS_TARGET, ReadOnly: false });
  }
  return mounts;
}
