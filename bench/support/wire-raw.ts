import type { Stream } from '@libp2p/interface';
import { FrameReader } from '../../src/net/p2p/wire/frame-reader.ts';

/** Frames of as many bytes as the wire's, with nothing in them. */
export const RAW_PROTOCOL = '/bacalhau-bench/raw/1.0.0';

/** An ask with a spec of 400 bytes and its acknowledgement, and the bid with its own, as the wire has them. */
export const ASK_BYTES = 510;
export const BID_BYTES = 130;
/** As many of one frame as the wire has (frameTargetBytes). */
export const MOST_PER_FRAME = 120;

const LENGTH_BYTES = 4;
const MOST_FRAME_BYTES = 1_048_576;

/** A frame that stands for `count` messages of `bytes` bytes each. */
export function rawFrame(count: number, bytes: number): Buffer {
  const frame = Buffer.alloc(LENGTH_BYTES + count * bytes);
  frame.writeUInt32BE(count * bytes);
  return frame;
}

/** Calls back with the number of messages of every frame that comes. */
export function onRawFrames(stream: Stream, bytes: number, callback: (count: number) => void): void {
  const reader = new FrameReader(MOST_FRAME_BYTES);
  stream.addEventListener('message', ({ data }) => {
    reader.push(data instanceof Uint8Array ? data : data.subarray());
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      callback(frame.length / bytes);
    }
  });
}
