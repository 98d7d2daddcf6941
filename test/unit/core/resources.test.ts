import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NodeError } from '../../../src/core/errors.ts';
import {
  fits,
  formatBytes,
  formatResources,
  parseBytes,
  parseCpu,
  parseGpu,
  parseResources,
  resourcesToWire,
} from '../../../src/core/resources.ts';

test('cpu: cores, millicores, percentages', () => {
  for (const [text, cores] of [
    ['500m', 0.5],
    ['2', 2],
    ['0.1', 0.1],
    [' 1.5 ', 1.5],
    ['', 0],
    ['100M', 0.1],
  ] as const) {
    assert.equal(parseCpu(text), cores, text);
  }
  assert.equal(parseCpu('50%', 3), 1.5);
  for (const text of ['-1', '1e3', 'two', '5 %', '1.2.3', 'm']) {
    assert.throws(
      () => parseCpu(text),
      (error) =>
        error instanceof NodeError && error.code === 'ValidationFailed' && error.message.includes('CPU'),
      text,
    );
  }
  assert.throws(() => parseCpu('101%', 4));
});

test('bytes: decimal and binary units', () => {
  for (const [text, bytes] of [
    ['500Mb', 500_000_000],
    ['2Gb', 2_000_000_000],
    ['2Gi', 2_147_483_648],
    ['2GiB', 2_147_483_648],
    ['1024', 1024],
    ['1.5k', 1500],
    ['512 mb', 512_000_000],
    ['7b', 7],
    ['', 0],
  ] as const) {
    assert.equal(parseBytes(text, 'memory'), bytes, text);
  }
  assert.equal(parseBytes('80%', 'disk', 1001), 800);
  for (const text of ['-1', '1i', 'lots', '1mm', '99999e', '1e+3']) {
    assert.throws(() => parseBytes(text, 'disk'), /invalid disk value/, text);
  }
});

test('gpu: whole numbers only', () => {
  assert.equal(parseGpu('2'), 2);
  assert.equal(parseGpu('50%', 3), 1);
  for (const text of ['-1', '1.5', 'all']) assert.throws(() => parseGpu(text), /invalid GPU value/);
});

test('property: what is printed in megabytes or millicores reads back', () => {
  fc.assert(
    fc.property(fc.nat({ max: 1_000_000 }), fc.nat({ max: 1_000_000 }), (millis, megabytes) => {
      const parsed = parseResources({ CPU: `${millis}m`, Memory: `${megabytes}MB`, Disk: `${megabytes}Mi` });
      assert.equal(parsed.cpu, millis / 1000);
      assert.equal(parsed.memory, megabytes * 1e6);
      assert.equal(parsed.disk, megabytes * 1_048_576);
    }),
  );
});

test('fits compares every dimension', () => {
  const limit = { cpu: 1, memory: 10, disk: 10, gpu: 1 };
  assert.equal(fits(limit, limit), true);
  for (const key of ['cpu', 'memory', 'disk', 'gpu'] as const) {
    assert.equal(fits({ ...limit, [key]: 11 }, limit), false, key);
  }
});

test('texts of reasons and of the wire', () => {
  assert.equal(
    formatResources({ cpu: 0.5, memory: 1e9, disk: 0, gpu: 0 }),
    '{CPU: 0.500000, Memory: 1.0 GB, Disk: 0 B, GPU: 0}',
  );
  assert.equal(formatBytes(999), '999 B');
  assert.equal(formatBytes(1_500_000), '1.5 MB');
  assert.deepEqual(resourcesToWire({ cpu: 0.5, memory: 0, disk: 0, gpu: 2 }), { CPU: 0.5, GPU: 2 });
});
