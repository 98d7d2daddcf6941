import { type YamuxMuxerInit, yamux } from '@chainsafe/libp2p-yamux';
import { StreamState, YamuxStream } from '@chainsafe/libp2p-yamux/stream';
import type { StreamMuxerFactory } from '@libp2p/interface';
import { TokenBucket } from '../../core/token-bucket.ts';

/** How many streams a peer may open, whatever their protocol. */
export interface StreamRate {
  readonly streamsPerSecond: number;
  readonly streamBurst: number;
  /** A connection was closed because of it. */
  readonly onFlood: () => void;
}

/** Bytes that are taken before the sender is told: a quarter of the first window, so that it never waits for it. */
const UPDATE_BYTES = 65_536;

/**
 * A stream that tells the sender of room when there is enough of it. js-yamux does so after every frame: one more frame
 * for each, encrypted, written and read. Go's yamux waits for half a window too.
 */
function frugal<T>(stream: T): T {
  if (!(stream instanceof YamuxStream)) return stream;
  const handleData = stream.handleData.bind(stream);
  const sendWindowUpdate = stream.sendWindowUpdate.bind(stream);
  let untold = 0;
  stream.handleData = (frame) => {
    untold += frame.header.length;
    handleData(frame);
  };
  stream.sendWindowUpdate = () => {
    // What is taken while the stream is paused is told when it is resumed.
    if (stream.state === StreamState.Established) {
      if (untold < UPDATE_BYTES) return;
      untold = 0;
    }
    sendWindowUpdate();
  };
  return stream;
}

/**
 * Yamux that closes a connection over which streams are opened faster than allowed: libp2p bounds how many there
 * are, not how fast they come and go.
 */
export function boundedYamux(init: YamuxMuxerInit, rate: StreamRate): () => StreamMuxerFactory {
  const create = yamux(init);
  return () => {
    const factory = create();
    return {
      protocol: factory.protocol,
      createStreamMuxer(connection) {
        const muxer = factory.createStreamMuxer(connection);
        const bucket = new TokenBucket(rate.streamsPerSecond, rate.streamBurst, Date.now());
        const accept = muxer.onRemoteStream.bind(muxer);
        muxer.onRemoteStream = (stream) => {
          if (bucket.tryTake(1, Date.now())) {
            accept(frugal(stream));
            return;
          }
          rate.onFlood();
          // What reads the connection closes it.
          throw new Error(`more than ${rate.streamsPerSecond} new streams a second`);
        };
        const open = muxer.onCreateStream.bind(muxer);
        muxer.onCreateStream = () => frugal(open());
        return muxer;
      },
    };
  };
}
