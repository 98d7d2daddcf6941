import { wireNode } from '../../test/support/wire.ts';
import { ASK_BYTES, BID_BYTES, onRawFrames, RAW_PROTOCOL, rawFrame } from './wire-raw.ts';

/*
 * The other end of the wire, in a process of its own: answers every ask with a bid, and every raw frame with a raw
 * frame of as many. Prints its address; ends with its parent.
 */

const node = await wireNode({ after: () => undefined });
node.handlers.message = (from, message) => {
  if (message.type === 'AskForBid') {
    const { executionId, jobId } = message;
    const bid = { executionId, jobId, accepted: true, reason: '', startsNow: true, ahead: 0 } as const;
    void node.wire.send(from, { type: 'BidResult', ...bid });
  }
  return Promise.resolve();
};
await node.host.libp2p.handle(RAW_PROTOCOL, (stream) => {
  onRawFrames(stream, ASK_BYTES, (count) => void stream.send(rawFrame(count, BID_BYTES)));
});
console.log(node.host.addresses()[0]);
process.stdin.resume().on('end', () => process.exit(0));
