import { Ingest } from '../../src/workers/ingest/ingest.ts';
import { INGEST_OPTIONS } from '../../test/support/ingest.ts';
import { dockerJob, mockJob } from '../../test/support/jobs.ts';
import type { Bench } from '../support/bench.ts';
import { type MicroCase, measure } from '../support/micro.ts';

const COUNT = 20;

/** What an ingest thread does for a submission. */
export const ingestBench: Bench = {
  name: 'ingest',
  doc: 'a submitted job: decode, check, normalise, encode',
  run: (size) => {
    const ingest = new Ingest(INGEST_OPTIONS);
    const caseOf = (what: string, job: unknown): MicroCase => {
      const body = new TextEncoder().encode(JSON.stringify({ Job: job }));
      const submission = {
        body,
        contentType: 'application/json',
        clientInstanceId: '',
        clientInstallationId: '',
      };
      return {
        what: `${what}, ${body.length} bytes`,
        per: COUNT,
        run: () => {
          for (let round = 0; round < COUNT; round += 1) ingest.handle(submission);
        },
        limit: {
          what: 'JSON.parse + JSON.stringify',
          per: COUNT,
          run: () => {
            const decoder = new TextDecoder();
            for (let round = 0; round < COUNT; round += 1) JSON.stringify(JSON.parse(decoder.decode(body)));
          },
        },
      };
    };
    return measure(
      [caseOf('mock job', mockJob()), caseOf('Docker job', dockerJob('ubuntu:24.04', ['cat', '/file.txt']))],
      size,
    );
  },
};
