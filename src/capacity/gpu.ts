import { fileURLToPath } from 'node:url';
import { toErrorData } from '../core/errors.ts';
import type { Gpu } from '../core/job.ts';
import type { RunRequest, RunResult } from '../subprocess/protocol.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  type GpuFacts,
  parseIntelDevice,
  parseIntelList,
  parseNvidiaCsv,
  parseNvidiaLog,
  parseRocm,
} from './gpu-parse.ts';

/** A tool's first answer after boot takes seconds where the driver keeps no state. */
const TOOL_TIMEOUT_MS = 10_000;
/** `nvidia-smi -q -x` lists every clock of every device: tens of kilobytes each. */
const TOOL_OUTPUT_BYTES = 4_194_304;

/** Runs commands outside the daemon: the helper process, or a test's recordings. */
export interface CommandRunner {
  run(request: RunRequest, signal?: AbortSignal): Promise<RunResult>;
}

export interface GpuModules {
  readonly runner: CommandRunner;
  readonly logger: Logger;
}

/**
 * The GPUs of this machine, as the vendors' own tools tell. A vendor whose tool is missing or fails has none,
 * which is logged once; a device that is only half understood is left out. Never rejects.
 */
export async function detectGpus(modules: GpuModules, signal?: AbortSignal): Promise<Gpu[]> {
  const vendors = await Promise.all([
    guarded('NVIDIA', nvidia, modules, signal),
    guarded('AMD/ATI', amd, modules, signal),
    guarded('Intel', intel, modules, signal),
  ]);
  return vendors.flat();
}

type Detector = (tool: Tool) => Promise<readonly GpuFacts[] | undefined>;

/** Runs one of the vendor's tools. Undefined when there is no such tool; throws when it fails. */
type Tool = (command: string, args: readonly string[]) => Promise<string | undefined>;

async function guarded(
  vendor: Gpu['Vendor'],
  detect: Detector,
  { runner, logger }: GpuModules,
  signal: AbortSignal | undefined,
): Promise<Gpu[]> {
  const tool: Tool = async (command, args) => {
    const request = { command, args, timeoutMs: TOOL_TIMEOUT_MS, maxOutputBytes: TOOL_OUTPUT_BYTES };
    const result = await runner.run(request, signal);
    if (result.startError === 'ENOENT') return undefined;
    const fault = toolFault(result);
    if (fault !== undefined) throw new Error(`${command} ${fault}`);
    return new TextDecoder().decode(result.stdout);
  };
  let found: readonly GpuFacts[] | undefined;
  try {
    found = await detect(tool);
  } catch (thrown) {
    logger.warn({ vendor, reason: toErrorData(thrown).message }, 'no GPUs of this vendor are offered');
    return [];
  }
  if (found === undefined) {
    logger.debug({ vendor }, 'no GPU tool of this vendor is installed');
    return [];
  }
  const gpus: Gpu[] = [];
  for (const facts of found) {
    const gpu = complete(vendor, facts);
    if (typeof gpu === 'string') logger.warn({ vendor, reason: gpu }, 'a GPU is not offered');
    else gpus.push(gpu);
  }
  return gpus;
}

function toolFault(result: RunResult): string | undefined {
  if (result.startError !== undefined) return `could not be started (${result.startError})`;
  if (result.timedOut) return `did not end within ${TOOL_TIMEOUT_MS} ms`;
  if (result.truncated) return `wrote more than ${TOOL_OUTPUT_BYTES} bytes`;
  if (result.code === 0) return undefined;
  const said = new TextDecoder().decode(result.stderr.byteLength > 0 ? result.stderr : result.stdout);
  return `exited with ${result.code ?? result.signal ?? 'no code'}: ${said.trim().split('\n')[0]?.slice(0, 200) ?? ''}`;
}

/** A device of which all is known, or why it cannot be offered. */
function complete(vendor: Gpu['Vendor'], facts: GpuFacts): Gpu | string {
  const { index, name, memoryMiB, pciAddress, uuid } = facts;
  if (facts.unusable !== undefined) return `device ${index ?? '?'}: ${facts.unusable}`;
  if (index === undefined || name === undefined || memoryMiB === undefined) {
    return `device ${index ?? '?'}: index, name or memory could not be read`;
  }
  return {
    Index: index,
    Name: name,
    Vendor: vendor,
    Memory: memoryMiB,
    PCIAddress: pciAddress ?? '',
    ...(uuid === undefined ? {} : { UUID: uuid }),
  };
}

/**
 * `node-nvidia-smi` reads `nvidia-smi -q -x`. It blocks on a child of its own without a time limit, so its
 * program is run, not its function. It gives up when the tool also prints a warning; the table is asked then.
 */
async function nvidia(tool: Tool): Promise<readonly GpuFacts[] | undefined> {
  if ((await tool('nvidia-smi', ['-L'])) === undefined) return undefined;
  const program = fileURLToPath(import.meta.resolve('node-nvidia-smi/node-nvidia-smi.js'));
  try {
    const log = await tool(process.execPath, [program]);
    if (log !== undefined) return parseNvidiaLog(log);
  } catch {
    // The table says less, and says it to everybody.
  }
  const table = await tool('nvidia-smi', [
    '--query-gpu=index,name,memory.total,pci.bus_id,uuid',
    '--format=csv,noheader,nounits',
  ]);
  return table === undefined ? undefined : parseNvidiaCsv(table);
}

async function amd(tool: Tool): Promise<readonly GpuFacts[] | undefined> {
  const args = ['--showproductname', '--showbus', '--showmeminfo', 'vram', '--json'];
  const text = await tool('rocm-smi', args);
  return text === undefined ? undefined : parseRocm(text);
}

async function intel(tool: Tool): Promise<readonly GpuFacts[] | undefined> {
  const list = await tool('xpu-smi', ['discovery', '--json']);
  if (list === undefined) return undefined;
  const devices: GpuFacts[] = [];
  for (const id of parseIntelList(list)) {
    const text = await tool('xpu-smi', ['discovery', '--device', String(id), '--json']);
    if (text !== undefined) devices.push(parseIntelDevice(text));
  }
  return devices;
}
