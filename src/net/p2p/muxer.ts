import { type YamuxMuxerInit, yamux } from '@chainsafe/libp2p-yamux';
import type { StreamMuxerFactory } from '@libp2p/interface';
import { TokenBucket } from '../../core/token-bucket.ts';

/** How many streams a peer may open, whatever their protocol. */
export interface StreamRate {
  readonly streamsPerSecond: number;
  readonly streamBurst: number;
  /** A connection was closed because of it. */
  readonly onFlood: () => void;
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
            accept(stream);
            return;
          }
          rate.onFlood();
          // What reads the connection closes it.
          throw new Error(`more than ${rate.streamsPerSecond} new streams a second`);
        };
        return muxer;
      },
    };
  };
}
