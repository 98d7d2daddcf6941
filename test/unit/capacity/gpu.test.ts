import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type CommandRunner, detectGpus } from '../../../src/capacity/gpu.ts';
import { Helper } from '../../../src/subprocess/helper.ts';
import type { RunResult } from '../../../src/subprocess/protocol.ts';
import { fakeNvidia, uuidOf } from '../../support/capacity/nvidia.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { recordingLogger } from '../../support/logs.ts';

const recordings = join(import.meta.dirname, '../../support/recordings/gpu');
const recording = (name: string): Promise<string> => readFile(join(recordings, name), 'utf8');

function result(change: Partial<RunResult>, stdout = ''): RunResult {
  return {
    code: 0,
    signal: null,
    stdout: new TextEncoder().encode(stdout),
    stderr: new Uint8Array(0),
    timedOut: false,
    truncated: false,
    ...change,
  };
}

const MISSING = result({ code: null, startError: 'ENOENT' });

/** Tools whose answers are given by the beginning of the command line; others are not installed. */
function tools(answers: Readonly<Record<string, RunResult>>): CommandRunner & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    run: ({ command, args }) => {
      const line = [command === process.execPath ? 'node' : command, ...args].join(' ');
      asked.push(line);
      const found = Object.entries(answers).find(([start]) => line.startsWith(start));
      return Promise.resolve(found?.[1] ?? MISSING);
    },
  };
}

test('no tools, no GPUs, and nothing loud about it', async () => {
  const { logger, lines } = recordingLogger();
  const runner = tools({});
  assert.deepEqual(await detectGpus({ runner, logger }), []);
  const asked = runner.asked.map((line) => line.split(' ', 1)[0] ?? '');
  assert.deepEqual(
    asked.toSorted((a, b) => a.localeCompare(b)),
    ['nvidia-smi', 'rocm-smi', 'xpu-smi'],
  );
  assert.deepEqual(
    lines.map((line) => line['level']),
    [20, 20, 20],
  );
});

test('NVIDIA: what node-nvidia-smi makes of the real tool’s XML, run through the helper', async (t) => {
  const folder = await temporaryFolder(t);
  const xml = join(recordings, 'nvidia-smi-q-x.xml');
  await writeFile(
    join(folder, 'nvidia-smi'),
    `#!/bin/sh\n[ "$1" = -q ] && exec cat ${xml}\necho "GPU 0: NVIDIA L4"\n`,
  );
  await chmod(join(folder, 'nvidia-smi'), 0o755);
  const { logger, lines } = recordingLogger();
  const runner = new Helper({ env: { PATH: `${folder}:/usr/bin:/bin` } }, { logger });
  t.after(() => runner.stop());
  assert.deepEqual(await detectGpus({ runner, logger }), [
    {
      Index: 0,
      Name: 'NVIDIA L4',
      Vendor: 'NVIDIA',
      Memory: 23034,
      PCIAddress: '0000:01:00.0',
      UUID: 'GPU-11111111-2222-3333-4444-555555555555',
    },
  ]);
  const reasons = lines.filter((line) => line['level'] === 40).map((line) => String(line['reason']));
  assert.match(reasons[0] ?? '', /device 1: it is split by MIG/);
  assert.match(reasons[1] ?? '', /device 2: index, name or memory could not be read/);
});

for (const [machine, count, warnings] of [
  [0, 0, 0],
  [1, 1, 0],
  [8, 8, 0],
  ['mig', 0, 1],
  ['broken', 0, 1],
] as const) {
  test(`NVIDIA: a recorded machine, ${machine}: ${count} devices are offered`, async (t) => {
    const env = await fakeNvidia(await temporaryFolder(t), machine);
    const { logger, lines } = recordingLogger();
    const runner = new Helper({ env: { ...env } }, { logger });
    t.after(() => runner.stop());
    const found = await detectGpus({ runner, logger });
    assert.deepEqual(
      found,
      Array.from({ length: count }, (_, Index) => ({
        Index,
        Name: 'Tesla T4',
        Vendor: 'NVIDIA',
        Memory: 15_360,
        PCIAddress: `0000:${(0x1a + Index).toString(16)}:00.0`,
        UUID: uuidOf(Index),
      })),
    );
    assert.equal(lines.filter((line) => line['level'] === 40).length, warnings);
  });
}

test('NVIDIA: the table where the log cannot be had', async () => {
  const { logger } = recordingLogger();
  const runner = tools({
    'nvidia-smi -L': result({}, 'GPU 0'),
    node: result({ code: 1, stderr: new TextEncoder().encode('a warning of the driver') }),
    'nvidia-smi --query-gpu': result({}, await recording('nvidia-smi.csv')),
  });
  const found = await detectGpus({ runner, logger });
  assert.deepEqual(
    found.map((gpu) => [gpu.Index, gpu.Name, gpu.Memory, gpu.PCIAddress]),
    [
      [0, 'NVIDIA L4', 23034, '0000:01:00.0'],
      [1, 'Tesla T4', 15360, '0000:c1:00.0'],
    ],
  );
});

test('NVIDIA: a driver that does not answer is one warning', async () => {
  const { logger, lines } = recordingLogger();
  const stdout = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMore.\n";
  const runner = tools({ 'nvidia-smi': result({ code: 9 }, stdout) });
  assert.deepEqual(await detectGpus({ runner, logger }), []);
  const warnings = lines.filter((line) => line['level'] === 40);
  assert.equal(warnings.length, 1);
  assert.match(String(warnings[0]?.['reason']), /^nvidia-smi exited with 9: NVIDIA-SMI has failed/);
});

test('AMD: a card whose memory is not known is left out', async () => {
  const { logger, lines } = recordingLogger();
  for (const preamble of ['', 'WARNING: AMD GPU device(s) is/are in a low-power state.\n']) {
    const runner = tools({ 'rocm-smi': result({}, preamble + (await recording('rocm-smi.json'))) });
    assert.deepEqual(await detectGpus({ runner, logger }), [
      { Index: 0, Name: 'Instinct MI210', Vendor: 'AMD/ATI', Memory: 65520, PCIAddress: '0000:e7:00.0' },
    ]);
  }
  assert.match(String(lines.find((line) => line['level'] === 40)?.['reason']), /device 1/);
});

test('Intel', async () => {
  const { logger } = recordingLogger();
  const runner = tools({
    'xpu-smi discovery --json': result({}, await recording('xpu-smi-discovery.json')),
    'xpu-smi discovery --device 0 --json': result({}, await recording('xpu-smi-device.json')),
  });
  assert.deepEqual(await detectGpus({ runner, logger }), [
    {
      Index: 0,
      Name: 'Intel Corporation Device 56c1 (rev 05)',
      Vendor: 'Intel',
      Memory: 5068,
      PCIAddress: '0000:e9:00.0',
      UUID: '00000000-0000-0000-9fa4-990c9e0150e4',
    },
  ]);
});

test('whatever the tools say, nothing is offered that is not understood', async () => {
  const answers = [
    '',
    'null',
    '{}',
    '[]',
    '{"card0": 7}',
    '{"device_list": [{}]}',
    'x, y\n',
    '{"card0": {"Card series": "X"}}',
  ];
  for (const stdout of answers) {
    const { logger } = recordingLogger();
    const same = result({}, stdout);
    const runner = tools({ 'nvidia-smi': same, node: same, 'rocm-smi': same, 'xpu-smi': same });
    assert.deepEqual(await detectGpus({ runner, logger }), [], stdout);
  }
  for (const change of [
    { timedOut: true, code: null },
    { truncated: true },
    { startError: 'EACCES', code: null },
  ]) {
    const { logger, lines } = recordingLogger();
    const same = result(change);
    await detectGpus({ runner: tools({ 'nvidia-smi': same, 'rocm-smi': same, 'xpu-smi': same }), logger });
    assert.equal(lines.filter((line) => line['level'] === 40).length, 3);
  }
  const { logger } = recordingLogger();
  assert.deepEqual(
    await detectGpus({ runner: { run: () => Promise.reject(new Error('no helper')) }, logger }),
    [],
  );
});
