import { Packr } from 'msgpackr';
import { executionCodec, jobCodec } from '../../src/store/codecs.ts';
import { decodeValue, encodeValue } from '../../src/store/recorder.ts';
import { executionsTable, jobsTable } from '../../src/store/tables.ts';
import { testExecution, testJob } from '../../test/support/store-records.ts';
import type { Bench } from '../support/bench.ts';
import { type MicroCase, measure } from '../support/micro.ts';

const COUNT = 100;

/** A record on its way into a store and out of it, without the store. */
export const recordsBench: Bench = {
  name: 'records',
  doc: "a store's records to bytes and back",
  run: (size) => {
    const execution = testExecution();
    const job = testJob();
    const caseOf = (name: string, bytes: number, encode: () => unknown, decode: () => unknown): MicroCase[] =>
      [
        { what: `${name} to ${bytes} bytes`, work: encode },
        { what: `${name} from ${bytes} bytes`, work: decode },
      ].map(({ what, work }) => ({
        what,
        per: COUNT,
        run: () => {
          for (let round = 0; round < COUNT; round += 1) work();
        },
      }));
    const jobBytes = encodeValue(jobsTable, jobCodec.encode(job));
    const executionBytes = encodeValue(executionsTable, executionCodec.encode(execution));
    const plain = new Packr({ useRecords: false });
    const plainBytes = plain.pack(job);
    return measure(
      [
        ...caseOf(
          'job record',
          jobBytes.length,
          () => encodeValue(jobsTable, jobCodec.encode(job)),
          () => jobCodec.decode(decodeValue(jobsTable, jobBytes)),
        ),
        ...caseOf(
          'execution record',
          executionBytes.length,
          () => encodeValue(executionsTable, executionCodec.encode(execution)),
          () => executionCodec.decode(decodeValue(executionsTable, executionBytes)),
        ),
        ...caseOf(
          'job record as a plain msgpack map',
          plainBytes.length,
          () => plain.pack(job),
          () => plain.unpack(plainBytes),
        ),
      ],
      size,
    );
  },
};
