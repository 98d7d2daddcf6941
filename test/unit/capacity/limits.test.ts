import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Detected } from '../../../src/capacity/detect.ts';
import { resolveCapacity } from '../../../src/capacity/limits.ts';
import type { CapacityConfig } from '../../../src/capacity/options.ts';
import { NodeError } from '../../../src/core/errors.ts';
import type { Gpu } from '../../../src/core/job.ts';

const gpu = (Index: number): Gpu => ({ Index, Name: 'G', Vendor: 'NVIDIA', Memory: 1, PCIAddress: '' });

const MACHINE: Detected = {
  cpu: 4,
  memory: 10_000_000_001,
  disk: 100_000_000_000,
  gpu: 2,
  gpus: [gpu(0), gpu(1)],
  warnings: [],
};
const AUTO = { kind: 'auto' } as const;
const exact = (value: number) => ({ kind: 'exact', value }) as const;
const share = (part: number) => ({ kind: 'share', share: part }) as const;

type Partials = {
  total?: Partial<CapacityConfig['total']>;
  job?: Partial<CapacityConfig['job']>;
  ignore?: boolean;
};

function plan({ total = {}, job = {}, ignore = false }: Partials = {}, machine = MACHINE) {
  const blank = { cpu: AUTO, memory: AUTO, disk: AUTO, gpu: AUTO };
  return resolveCapacity(
    { total: { ...blank, ...total }, job: { ...blank, ...job }, ignorePhysicalLimits: ignore },
    { cpu: exact(0.5), memory: exact(512_000_000), disk: exact(0), gpu: exact(0) },
    machine,
  );
}

function refusal(partials: Partials): string {
  try {
    plan(partials);
  } catch (error) {
    assert.ok(error instanceof NodeError && error.code === 'ConfigInvalid', String(error));
    return error.message;
  }
  return assert.fail('accepted');
}

test('blank: 80 % of the machine, all GPUs; one job may have the total', () => {
  const found = plan();
  assert.deepEqual(found.total, { cpu: 3.2, memory: 8_000_000_000, disk: 80_000_000_000, gpu: 2 });
  assert.deepEqual(found.jobLimit, found.total);
  assert.deepEqual(found.defaults, { cpu: 0.5, memory: 512_000_000, disk: 0, gpu: 0 });
  assert.deepEqual(found.gpus, MACHINE.gpus);
  assert.deepEqual(found.warnings, []);
});

test('more may wait than the machine holds', () => {
  const found = plan();
  for (const key of ['cpu', 'memory', 'disk', 'gpu'] as const)
    assert.ok(found.queue[key] > found.total[key], key);
});

test('an explicit total may be all of the machine, and no more', () => {
  assert.equal(plan({ total: { cpu: exact(4) } }).total.cpu, 4);
  assert.equal(plan({ total: { cpu: share(1) } }).total.cpu, 4);
  assert.match(
    refusal({ total: { cpu: exact(4.1) } }),
    /^--limit-total-cpu: 4\.1 CPUs is above the 4 CPUs of this machine/,
  );
  const forced = plan({ total: { cpu: exact(8), gpu: exact(3) }, ignore: true });
  assert.equal(forced.total.cpu, 8);
  assert.match(forced.warnings[0] ?? '', /above the 4 CPUs/);
  assert.match(forced.warnings.at(-1) ?? '', /3 GPUs are offered but 2 were found/);
});

test('shares are rounded down to what can be given', () => {
  const found = plan({ total: { gpu: share(0.75), memory: share(0.5), cpu: share(1 / 3) } });
  assert.deepEqual([found.total.gpu, found.total.memory, found.total.cpu], [1, 5_000_000_000, 1.333]);
  assert.deepEqual(found.gpus, [gpu(0)]);
});

test('zero is none', () => {
  const found = plan({ total: { gpu: exact(0), cpu: exact(0) } });
  assert.deepEqual([found.total.cpu, found.total.gpu, found.gpus], [0, 0, []]);
  assert.match(found.warnings[0] ?? '', /no CPU is offered/);
  assert.equal(found.defaults.cpu, 0);
});

test('one job within the total', () => {
  assert.equal(plan({ job: { cpu: exact(1) } }).jobLimit.cpu, 1);
  assert.match(
    refusal({ job: { cpu: exact(4) }, total: { memory: exact(1e12) } }),
    /^--limit-total-memory: .*\n--limit-job-cpu: 4 CPUs for one job is above the total of all jobs, 3\.2 CPUs/s,
  );
});

test('a small machine clamps the default request with a warning, and starts', () => {
  const small: Detected = { ...MACHINE, cpu: 0.5, memory: 400_000_000, gpu: 0, gpus: [] };
  const found = plan({}, small);
  assert.deepEqual(found.defaults, { cpu: 0.4, memory: 320_000_000, disk: 0, gpu: 0 });
  assert.equal(found.warnings.length, 2);
  assert.match(found.warnings[0] ?? '', /asks for 0\.4 CPUs here instead of 0\.5 CPUs/);
});

test('warnings of the detection are passed on', () => {
  assert.deepEqual(plan({}, { ...MACHINE, warnings: ['no disk'] }).warnings, ['no disk']);
});
