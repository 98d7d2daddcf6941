import { NodeError } from './errors.ts';
import type { Resources, ResourcesConfig } from './job.ts';

const UNIT_POWERS = ['', 'k', 'm', 'g', 't', 'p', 'e'] as const;
const BYTES = /^(\d+(?:\.\d+)?|\.\d+)(?:([kmgtpe]?)(i?)b?)?$/;
const CPU = /^(\d+(?:\.\d+)?|\.\d+)(m?)$/;
const PERCENT = /^(\d+(?:\.\d+)?)%$/;

/** Nothing of anything. */
export const NO_RESOURCES: Resources = { cpu: 0, memory: 0, disk: 0, gpu: 0 };

/** Nothing to squeeze: most texts, and each is read for every job. */
const PLAIN = /^[\da-z.%]*$/;

function squeeze(text: string): string {
  return PLAIN.test(text) ? text : text.toLowerCase().replaceAll(/\s+/g, '');
}

function percentOf(text: string, whole: number | undefined): number | undefined {
  if (whole === undefined) return undefined;
  const match = PERCENT.exec(text);
  if (match === null) return undefined;
  const share = Number(match[1]);
  return share > 100 ? undefined : (whole * share) / 100;
}

/**
 * Cores from a Kubernetes quantity ("500m", "2", "0.5"), or a percentage where `whole` (cores) is given.
 * Blank means 0. Grammar: Bacalhau v1.2 `ResourcesConfig`.
 * @throws NodeError ValidationFailed
 */
export function parseCpu(text: string, whole?: number): number {
  const value = squeeze(text);
  if (value === '') return 0;
  const share = percentOf(value, whole);
  if (share !== undefined) return Math.floor(share * 1000) / 1000;
  const match = CPU.exec(value);
  if (match === null) {
    throw new NodeError(
      'ValidationFailed',
      `invalid CPU value: ${text} (expected cores such as "2", "0.5" or "500m")`,
    );
  }
  return match[2] === 'm' ? Number(match[1]) / 1000 : Number(match[1]);
}

/**
 * Bytes from human text: "500Mb" is 500 x 1000^2, "2Gi" is 2 x 1024^3, a bare number is bytes; a percentage
 * where `whole` (bytes) is given. Blank means 0.
 * @throws NodeError ValidationFailed
 */
export function parseBytes(text: string, what: 'memory' | 'disk', whole?: number): number {
  const value = squeeze(text);
  if (value === '') return 0;
  const share = percentOf(value, whole);
  if (share !== undefined) return Math.floor(share);
  const match = BYTES.exec(value);
  const power = UNIT_POWERS.indexOf((match?.[2] ?? '') as (typeof UNIT_POWERS)[number]);
  if (match === null || power < 0 || (match[3] === 'i' && power === 0)) {
    throw new NodeError(
      'ValidationFailed',
      `invalid ${what} value: ${text} (expected bytes such as "500Mb", "2Gb" or "2Gi")`,
    );
  }
  const bytes = Math.floor(Number(match[1]) * (match[3] === 'i' ? 1024 : 1000) ** power);
  if (!Number.isSafeInteger(bytes))
    throw new NodeError('ValidationFailed', `invalid ${what} value: ${text} (too large)`);
  return bytes;
}

/**
 * A count of GPUs, or a percentage where `whole` is given. Blank means 0.
 * @throws NodeError ValidationFailed
 */
export function parseGpu(text: string, whole?: number): number {
  const value = squeeze(text);
  if (value === '') return 0;
  const share = percentOf(value, whole);
  if (share !== undefined) return Math.floor(share);
  if (!/^\d{1,6}$/.test(value)) {
    throw new NodeError('ValidationFailed', `invalid GPU value: ${text} (expected a whole number of GPUs)`);
  }
  return Number(value);
}

/** All four dimensions of a task's request. */
export function parseResources(config: ResourcesConfig): Resources {
  return {
    cpu: parseCpu(config.CPU ?? ''),
    memory: parseBytes(config.Memory ?? '', 'memory'),
    disk: parseBytes(config.Disk ?? '', 'disk'),
    gpu: parseGpu(config.GPU ?? ''),
  };
}

/** True when every dimension of `request` is within `limit`. */
export function fits(request: Resources, limit: Resources): boolean {
  return (
    request.cpu <= limit.cpu &&
    request.memory <= limit.memory &&
    request.disk <= limit.disk &&
    request.gpu <= limit.gpu
  );
}

/** The wire's numeric form: zero dimensions are left out. */
export interface ResourcesWire {
  CPU?: number;
  Memory?: number;
  Disk?: number;
  GPU?: number;
}

export function resourcesToWire(resources: Resources): ResourcesWire {
  const wire: ResourcesWire = {};
  if (resources.cpu > 0) wire.CPU = resources.cpu;
  if (resources.memory > 0) wire.Memory = resources.memory;
  if (resources.disk > 0) wire.Disk = resources.disk;
  if (resources.gpu > 0) wire.GPU = resources.gpu;
  return wire;
}

/** "2.0 GB": decimal units, one place, as Bacalhau's reasons print them. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(UNIT_POWERS.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(1)} ${(UNIT_POWERS[power] ?? '').toUpperCase()}B`;
}

/** "{CPU: 0.500000, Memory: 1.0 GB, Disk: 0 B, GPU: 0}", as Bacalhau's reasons print them. */
export function formatResources(r: Resources): string {
  return `{CPU: ${r.cpu.toFixed(6)}, Memory: ${formatBytes(r.memory)}, Disk: ${formatBytes(r.disk)}, GPU: ${r.gpu}}`;
}
