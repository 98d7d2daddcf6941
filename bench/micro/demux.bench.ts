import { LogDemuxer } from '../../src/engines/docker/demux.ts';
import type { Bench } from '../support/bench.ts';
import { type MicroCase, measure } from '../support/micro.ts';

const COUNT = 20;
const CHUNK_BYTES = 65_536;
const HEADER_BYTES = 8;

/** A chunk of Docker's log stream, of stdout and stderr frames with payloads of this size. */
function chunkOf(payloadBytes: number): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + payloadBytes, 'x');
  frame.writeUInt32BE(payloadBytes, HEADER_BYTES - 4);
  const frames: Buffer[] = [];
  for (let bytes = 0; bytes < CHUNK_BYTES; bytes += frame.length) {
    const next = Buffer.from(frame);
    next.set([(frames.length % 2) + 1, 0, 0, 0]);
    frames.push(next);
  }
  return Buffer.concat(frames);
}

/** Container logs, as they come from the Docker Engine. */
export const demuxBench: Bench = {
  name: 'demux',
  doc: "Docker's multiplexed log stream, taken apart",
  run: (size) => {
    const caseOf = (payloadBytes: number): MicroCase => {
      const chunk = chunkOf(payloadBytes);
      const demuxer = new LogDemuxer();
      return {
        what: `chunks of 64 KiB, frames of ${payloadBytes} bytes`,
        per: COUNT,
        bytes: chunk.length,
        run: () => {
          for (let round = 0; round < COUNT; round += 1) demuxer.push(chunk);
        },
      };
    };
    return measure([caseOf(1), caseOf(80)], size);
  },
};
