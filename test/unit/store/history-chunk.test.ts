import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import {
  type Chunk,
  encodeChunk,
  MAX_SPAN,
  type NewRow,
  partsOf,
  rowsAfter,
  rowsOf,
} from '../../../src/store/history-chunk.ts';
import type { HistoryRow } from '../../../src/store/records.ts';

const text = fc.oneof(fc.constantFrom('', 'j-1', 'j-2', 'e-1', 'e-2', 'job', 'Running'), fc.string());

const newRow: fc.Arbitrary<NewRow> = fc.record({
  row: fc.record(
    {
      seq: fc.nat(2 * MAX_SPAN),
      time: fc.integer({ min: 0, max: 2_000_000_000_000_000 }),
      role: fc.constant('compute' as const),
      level: fc.constantFrom('job', 'execution', 'evaluation', 'node'),
      jobId: text,
      jobVersion: fc.nat(9),
      executionId: text,
      nodeId: text,
      from: text,
      to: text,
      topic: text,
      message: text,
      details: fc.dictionary(fc.oneof(fc.constant('__proto__'), fc.string()), fc.string(), {
        noNullPrototype: true,
      }),
    },
    { noNullPrototype: true },
  ),
  isListed: fc.boolean(),
});

const newRows = fc
  .uniqueArray(newRow, { selector: ({ row }) => row.seq, minLength: 1, maxLength: 60 })
  .map((rows) => rows.sort((a, b) => a.row.seq - b.row.seq));

const rowsIn = (rows: readonly NewRow[]): HistoryRow[] => rows.map(({ row }) => row);

describe('a chunk of history', () => {
  it('gives back its rows, all after one, and those of an owner that are listed', () => {
    const packr = new Packr({ useRecords: false });
    fc.assert(
      fc.property(newRows, fc.nat(2 * MAX_SPAN), text, (rows, after, owner) => {
        const chunk = packr.unpack(packr.pack(encodeChunk(rows))) as Chunk;
        assert.deepEqual(rowsAfter(chunk, 'compute', -1), rowsIn(rows));
        assert.deepEqual(
          rowsAfter(chunk, 'compute', after),
          rowsIn(rows.filter(({ row }) => row.seq > after)),
        );
        const listed = rows.filter(({ isListed }) => isListed);
        assert.deepEqual(
          rowsOf(chunk, 'compute', owner),
          rowsIn(listed.filter(({ row }) => row.executionId === owner)),
        );
        assert.deepEqual(
          rowsOf(chunk, 'requester', owner),
          rowsIn(listed.filter(({ row }) => row.jobId === owner)).map((row) => ({
            ...row,
            role: 'requester',
          })),
        );
      }),
    );
  });

  it('is bounded in rows, in text and in seqs, and parts lose nothing', () => {
    const at = (seq: number, message: string): NewRow => ({
      row: { ...sample, seq, message },
      isListed: true,
    });
    const sizes = (rows: readonly NewRow[]): number[] => [...partsOf(rows)].map((part) => part.length);
    assert.deepEqual(sizes([]), []);
    assert.deepEqual(sizes(Array.from({ length: 150 }, (_, seq) => at(seq, ''))), [64, 64, 22]);
    assert.deepEqual(sizes([at(1, 'x'.repeat(40_000)), at(2, 'y'), at(3, 'z'.repeat(40_000))]), [1, 1, 1]);
    assert.deepEqual(sizes([at(1, ''), at(MAX_SPAN, ''), at(MAX_SPAN + 1, '')]), [2, 1]);
    fc.assert(
      fc.property(newRows, (rows) => {
        assert.deepEqual([...partsOf(rows)].flat(), rows);
      }),
    );
  });
});

const sample: HistoryRow = {
  seq: 0,
  time: 0,
  role: 'requester',
  level: 'job',
  jobId: 'j-1',
  jobVersion: 1,
  executionId: '',
  nodeId: 'n',
  from: '',
  to: '',
  topic: '',
  message: '',
  details: {},
};
