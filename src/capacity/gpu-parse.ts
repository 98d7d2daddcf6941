import { z } from 'zod';

/** What a tool says of one device; undefined is what it does not say, or says in no known way. */
export interface GpuFacts {
  readonly index: number | undefined;
  readonly name: string | undefined;
  readonly memoryMiB: number | undefined;
  readonly pciAddress: string | undefined;
  readonly uuid: string | undefined;
  /** Why jobs cannot have the device although all is known of it. */
  readonly unusable?: string;
}

const MIB = 1_048_576;

const nvidiaGpu = z.object({
  product_name: z.string(),
  uuid: z.string().optional(),
  pci: z.object({ pci_bus_id: z.string() }).optional(),
  fb_memory_usage: z.object({ total: z.string() }),
  mig_mode: z.object({ current_mig: z.string() }).optional(),
});
const nvidiaLog = z.object({
  nvidia_smi_log: z.object({ gpu: z.union([z.array(z.unknown()), z.unknown()]).optional() }),
});

/** JSON made of `nvidia-smi -q -x` by node-nvidia-smi: `gpu` is an object where there is one, else an array. */
export function parseNvidiaLog(text: string): GpuFacts[] {
  const { gpu } = nvidiaLog.parse(JSON.parse(text)).nvidia_smi_log;
  const elements: unknown[] = gpu === undefined ? [] : Array.isArray(gpu) ? gpu : [gpu];
  // The log is in the order of the PCI bus, and so are the indexes of nvidia-smi and Docker.
  return elements.map((element, index) => {
    const read = nvidiaGpu.safeParse(element);
    if (!read.success) return { ...NOTHING, index };
    const { product_name, uuid, pci, fb_memory_usage, mig_mode } = read.data;
    const facts: GpuFacts = {
      index,
      name: text1(product_name),
      memoryMiB: positive(/^(\d+) MiB$/.exec(fb_memory_usage.total.trim())?.[1]),
      pciAddress: pciAddress(pci?.pci_bus_id),
      uuid: text1(uuid),
    };
    if (mig_mode?.current_mig.toLowerCase() !== 'enabled') return facts;
    return { ...facts, unusable: 'it is split by MIG, and its parts cannot be given to jobs' };
  });
}

/** Rows "index, name, MiB, bus id, uuid" of nvidia-smi's table. */
export function parseNvidiaCsv(text: string): GpuFacts[] {
  const rows = text.split('\n').filter((row) => row.trim() !== '');
  return rows.map((row) => {
    const cells = row.split(',').map((cell) => cell.trim());
    const [index, name, memory, bus, uuid] = cells;
    if (cells.length !== 5) return NOTHING;
    return {
      index: whole(index),
      name: text1(name),
      memoryMiB: positive(memory),
      pciAddress: pciAddress(bus),
      uuid: text1(uuid),
    };
  });
}

const rocmCards = z.record(z.string(), z.unknown());

/** `rocm-smi ... --json`: an object by "cardN". The casing of its keys changes with its versions; warnings may precede it. */
export function parseRocm(text: string): GpuFacts[] {
  const cards = rocmCards.parse(JSON.parse(text.slice(Math.max(0, text.indexOf('{')))));
  const found: GpuFacts[] = [];
  for (const [card, value] of Object.entries(cards)) {
    const index = whole(/^card(\d+)$/.exec(card)?.[1]);
    if (index === undefined) continue;
    const fields = rocmCards.safeParse(value);
    const folded = new Map(
      Object.entries(fields.success ? fields.data : {}).map(([key, field]) => [key.toLowerCase(), field]),
    );
    const bytes = positive(folded.get('vram total memory (b)'));
    found.push({
      index,
      name: text1(folded.get('card series')) ?? text1(folded.get('card model')),
      memoryMiB: bytes === undefined ? undefined : positive(Math.floor(bytes / MIB)),
      pciAddress: pciAddress(folded.get('pci bus')),
      uuid: text1(folded.get('unique id')),
    });
  }
  return found.sort((a, b) => (a.index ?? 0) - (b.index ?? 0));
}

const intelList = z.object({ device_list: z.array(z.object({ device_id: z.number().int().min(0) })) });

/** Device ids of `xpu-smi discovery --json`. */
export function parseIntelList(text: string): number[] {
  return intelList.parse(JSON.parse(text)).device_list.map((device) => device.device_id);
}

const intelDevice = z.record(z.string(), z.unknown());

/** `xpu-smi discovery --device N --json`. */
export function parseIntelDevice(text: string): GpuFacts {
  const device = intelDevice.parse(JSON.parse(text));
  const bytes = positive(device['memory_physical_size_byte']);
  return {
    index: whole(device['device_id']),
    name: text1(device['device_name']),
    memoryMiB: bytes === undefined ? undefined : positive(Math.floor(bytes / MIB)),
    pciAddress: pciAddress(device['pci_bdf_address']),
    uuid: text1(device['uuid']),
  };
}

const NOTHING: GpuFacts = {
  index: undefined,
  name: undefined,
  memoryMiB: undefined,
  pciAddress: undefined,
  uuid: undefined,
};

/** Text that says something: the tools write "N/A" and "[Not Supported]" for what they do not know. */
function text1(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  return text === '' || text === 'N/A' || text.startsWith('[') ? undefined : text;
}

function whole(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d+$/.test(value.trim()) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

function positive(value: unknown): number | undefined {
  const number = whole(value);
  return number === 0 ? undefined : number;
}

/** "00000000:01:00.0" and "0000:E7:00.0" as the kernel writes them: "0000:01:00.0". */
function pciAddress(value: unknown): string | undefined {
  const text = text1(value)?.toLowerCase();
  const match =
    text === undefined ? null : /^(?:0{4})?([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$/.exec(text);
  return match?.[1] ?? text;
}
