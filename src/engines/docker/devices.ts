import { realpath } from 'node:fs/promises';
import { NodeError } from '../../core/errors.ts';
import type { Gpu } from '../../core/job.ts';

/** The host's devices a container gets, in the words of the Engine API. */
export interface ContainerDevices {
  readonly DeviceRequests?: readonly {
    readonly DeviceIDs: readonly string[];
    readonly Capabilities: readonly (readonly string[])[];
  }[];
  readonly Devices?: readonly {
    readonly PathOnHost: string;
    readonly PathInContainer: string;
    readonly CgroupPermissions: string;
  }[];
}

/** AMD's compute interface, shared by its GPUs. */
const AMD_KFD = '/dev/kfd';
const DRI_BY_PATH = '/dev/dri/by-path';
const PCI_ADDRESS = /^[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$/;

/**
 * NVIDIA's GPUs go through its container runtime; AMD's and Intel's are device nodes found by PCI address.
 * @throws NodeError EngineFailed when a device is not there
 */
export async function containerDevices(
  gpus: readonly Gpu[],
  resolve: (path: string) => Promise<string> = realpath,
): Promise<ContainerDevices> {
  const nvidia: string[] = [];
  const paths = new Set<string>();
  for (const gpu of gpus) {
    switch (gpu.Vendor) {
      case 'NVIDIA':
        nvidia.push(gpu.UUID ?? String(gpu.Index));
        break;
      case 'AMD/ATI':
        paths.add(AMD_KFD);
        for (const path of await renderNodes(gpu, resolve)) paths.add(path);
        break;
      case 'Intel':
        for (const path of await renderNodes(gpu, resolve)) paths.add(path);
        break;
    }
  }
  return {
    ...(nvidia.length > 0 && { DeviceRequests: [{ DeviceIDs: nvidia, Capabilities: [['gpu']] }] }),
    ...(paths.size > 0 && {
      Devices: [...paths].map((path) => ({
        PathOnHost: path,
        PathInContainer: path,
        CgroupPermissions: 'rwm',
      })),
    }),
  };
}

async function renderNodes(gpu: Gpu, resolve: (path: string) => Promise<string>): Promise<string[]> {
  const where = `GPU ${gpu.Index} (${gpu.Name})`;
  if (!PCI_ADDRESS.test(gpu.PCIAddress)) {
    throw new NodeError('EngineFailed', `${where} has no PCI address (expected such as 0000:03:00.0)`);
  }
  const links = ['card', 'render'].map(
    (kind) => `${DRI_BY_PATH}/pci-${gpu.PCIAddress.toLowerCase()}-${kind}`,
  );
  try {
    return await Promise.all(links.map(resolve));
  } catch (error) {
    throw new NodeError('EngineFailed', `${where}: its device is missing: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
