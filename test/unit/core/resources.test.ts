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

/** Table of node-behaviour, section 2.1: unit to factor. Bytes, decimal and binary, in any case. */
const UNITS: readonly (readonly [string, number])[] = [
  ['', 1],
  ['b', 1],
  ...['k', 'm', 'g', 't', 'p', 'e'].flatMap((unit, index): [string, number][] => [
    [unit, 1000 ** (index + 1)],
    [`${unit}b`, 1000 ** (index + 1)],
    [`${unit}i`, 1024 ** (index + 1)],
    [`${unit}ib`, 1024 ** (index + 1)],
  ]),
];

/** The same text with spaces, line breaks and capitals in any places. */
const disguised = (text: string): fc.Arbitrary<string> =>
  fc
    .array(fc.tuple(fc.constantFrom('', ' ', '\n', '  '), fc.boolean()), {
      minLength: text.length + 1,
      maxLength: text.length + 1,
    })
    .map((marks) =>
      marks
        .map(([space, upper], index) => {
          const letter = text[index] ?? '';
          return space + (upper ? letter.toUpperCase() : letter);
        })
        .join(''),
    );

const decimal = fc.tuple(fc.nat(9999), fc.nat(999)).map(([whole, part]) => ({
  text: part === 0 ? String(whole) : `${whole}.${String(part).padStart(3, '0')}`,
  value: Number(`${whole}.${String(part).padStart(3, '0')}`),
}));

test('property: bytes of the whole table, however they are written', () => {
  const written = fc
    .tuple(decimal, fc.constantFrom(...UNITS))
    .chain(([number, [unit, factor]]) =>
      fc.tuple(disguised(number.text + unit), fc.constant(Math.floor(number.value * factor))),
    );
  fc.assert(
    fc.property(written, ([text, bytes]) => {
      if (Number.isSafeInteger(bytes)) assert.equal(parseBytes(text, 'memory'), bytes, text);
      else assert.throws(() => parseBytes(text, 'memory'), /too large/);
    }),
    { numRuns: 2000 },
  );
});

test('property: CPU in cores and millicores, GPUs as a count, percentages of a total', () => {
  fc.assert(
    fc.property(
      decimal.chain((number) => fc.tuple(disguised(number.text), fc.constant(number.value))),
      fc
        .nat(999_999)
        .chain((count) => fc.tuple(disguised(`${count}m`), disguised(String(count)), fc.constant(count))),
      fc.integer({ min: 0, max: 100 }),
      fc.nat(1_000_000),
      ([cores, value], [millis, whole, count], percent, total) => {
        assert.equal(parseCpu(cores), value);
        assert.equal(parseCpu(millis), count / 1000);
        assert.equal(parseGpu(whole), count);
        assert.equal(parseBytes(`${percent}%`, 'disk', total), Math.floor((total * percent) / 100));
        assert.ok(parseGpu(`${percent} %`, total) <= total);
      },
    ),
    { numRuns: 1000 },
  );
});

test('property: any text is a finite amount of zero or more, or refused with the words of the grammar', () => {
  const near = fc
    .array(fc.constantFrom(...'0123456789.-+eEkKmMgGiIbB% \n_,'), { maxLength: 8 })
    .map((a) => a.join(''));
  const parsers = [
    [(text: string) => parseCpu(text, 4), /^invalid CPU value: /],
    [(text: string) => parseBytes(text, 'memory', 4e9), /^invalid memory value: /],
    [(text: string) => parseBytes(text, 'disk', 4e9), /^invalid disk value: /],
    [(text: string) => parseGpu(text, 4), /^invalid GPU value: /],
  ] as const;
  fc.assert(
    fc.property(fc.oneof(near, fc.string({ unit: 'binary' })), (text) => {
      for (const [parse, words] of parsers) {
        try {
          const amount = parse(text);
          assert.ok(Number.isFinite(amount) && amount >= 0, `${JSON.stringify(text)}: ${amount}`);
        } catch (error) {
          assert.ok(error instanceof NodeError, String(error));
          assert.match(error.message, words);
        }
      }
    }),
    { numRuns: 3000 },
  );
});
