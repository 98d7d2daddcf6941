import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

const RECORDINGS = join(import.meta.dirname, '../recordings/gpu');
const ONE = 'nvidia-smi-q-x-1-t4.xml';
const MIG = 'nvidia-smi-q-x-mig-a100.xml';

/** What `nvidia-smi -q -x` says of a machine. */
export type Machine = number | 'mig' | 'broken';

/** The log of a machine with so many Tesla T4, of one split by MIG, or one that breaks off. */
export async function nvidiaLog(machine: Machine): Promise<string> {
  const one = await readFile(join(RECORDINGS, machine === 'mig' ? MIG : ONE), 'utf8');
  if (machine === 'mig') return one;
  const from = one.indexOf('<gpu id=');
  const to = one.lastIndexOf('</gpu>') + '</gpu>'.length;
  if (machine === 'broken') return one.slice(0, from + 900);
  const element = one.slice(from, to);
  const bus = /<gpu id="([^"]+)"/.exec(element)?.[1] ?? '';
  const elements = Array.from({ length: machine }, (_, index) =>
    element
      .replaceAll(bus, `00000000:${(0x1a + index).toString(16).toUpperCase()}:00.0`)
      .replace(/<uuid>[^<]*<\/uuid>/, `<uuid>${uuidOf(index)}</uuid>`),
  );
  return (one.slice(0, from) + elements.join('\n') + one.slice(to)).replace(
    /<attached_gpus>\d+</,
    `<attached_gpus>${machine}<`,
  );
}

/** The UUID of a device of `nvidiaLog`. */
export function uuidOf(index: number): string {
  return `GPU-d37e67a5-91dd-3774-a5cb-99096249601${index}`;
}

/** A folder with an `nvidia-smi` that answers so, and a PATH that begins with it. */
export async function fakeNvidia(folder: string, machine: Machine): Promise<{ readonly PATH: string }> {
  const bin = join(folder, `nvidia-${machine}`);
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, 'log.xml'), await nvidiaLog(machine));
  const script = `#!/bin/sh
case "$1" in
  -q) exec cat '${join(bin, 'log.xml')}' ;;
  -L) echo 'GPU 0: a recorded one' ;;
  *) exit 6 ;;
esac
`;
  await writeFile(join(bin, 'nvidia-smi'), script);
  await chmod(join(bin, 'nvidia-smi'), 0o755);
  return { PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` };
}
