import type { Connection, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createHost, type P2pHost } from '../../src/net/p2p/host.ts';
import { FrameReader } from '../../src/net/p2p/wire/frame-reader.ts';
import { decodeFrame, encodeFrame, type Frame, withLength } from '../../src/net/p2p/wire/frames.ts';
import { wireLimits } from '../../src/net/p2p/wire/limits.ts';
import { pack } from '../../src/net/p2p/wire/msgpack.ts';
import { MESSAGES_PROTOCOL } from '../../src/net/p2p/wire/opener.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { Scope } from './node.ts';
import type { WireNode } from './wire.ts';

/** A libp2p host that speaks whatever it wants. */
export interface RawPeer {
  readonly id: string;
  readonly host: P2pHost;
  /** Connects anew. */
  dial(): Promise<Connection>;
}

/** A stream whose every byte the test says. */
export interface RawStream {
  readonly stream: Stream;
  /** Frames that came. */
  readonly frames: readonly Frame[];
  send(...parts: Uint8Array[]): void;
  /** Resolves with the first frame of the kind, come or coming. */
  frame<K extends Frame['kind']>(kind: K): Promise<Extract<Frame, { kind: K }>>;
  /** Resolves when the stream is closed, however. */
  readonly closed: Promise<void>;
}

const logger = createLogger({ level: 'silent', mode: 'json', colour: false });

/** A host that can reach the node; stopped after the test. */
export async function rawPeer(t: Scope, node: WireNode, privateKey: Uint8Array): Promise<RawPeer> {
  const host = await createHost({ privateKey, host: '127.0.0.1', port: 0, peers: [] }, { logger });
  t.after(() => host.stop());
  await host.start();
  const [address = ''] = node.host.addresses();
  return { id: host.peerId, host, dial: () => host.libp2p.dial(multiaddr(address)) };
}

/** Opens a stream of a protocol. */
export async function rawStream(connection: Connection, protocol: string): Promise<RawStream> {
  const stream = await connection.newStream(protocol);
  const reader = new FrameReader(wireLimits.frameBytes);
  const frames: Frame[] = [];
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const one of waiting) one();
    waiting = [];
  };
  const closed = Promise.withResolvers<void>();
  stream.addEventListener('message', ({ data }) => {
    reader.push(data instanceof Uint8Array ? data : data.subarray());
    for (let bytes = reader.next(); bytes !== undefined; bytes = reader.next()) {
      frames.push(decodeFrame(bytes, wireLimits));
    }
    wake();
  });
  stream.addEventListener('close', () => {
    closed.resolve();
    wake();
  });
  if (stream.status !== 'open') closed.resolve();
  return {
    stream,
    frames,
    closed: closed.promise,
    send: (...parts) => {
      for (const part of parts) if (stream.writeStatus === 'writable') stream.send(part);
    },
    async frame<K extends Frame['kind']>(kind: K) {
      for (;;) {
        const found = frames.find((frame) => frame.kind === kind);
        if (found !== undefined) return found as Extract<Frame, { kind: K }>;
        if (stream.status !== 'open') throw new Error(`the stream is ${stream.status}; no ${kind} came`);
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

/** Opens a link as an honest peer does; the node's hello has come. */
export async function rawLink(peer: RawPeer, connection?: Connection): Promise<RawStream> {
  const raw = await rawStream(connection ?? (await peer.dial()), MESSAGES_PROTOCOL);
  raw.send(helloOf(peer.id));
  await raw.frame('hello');
  return raw;
}

export function helloOf(peer: string): Uint8Array {
  return encodeFrame({
    kind: 'hello',
    hello: {
      peer,
      minor: 0,
      version: 'raw',
      roles: { compute: false, requester: true },
      limits: wireLimits,
    },
  });
}

/** Any value as a frame. */
export function frameOf(value: unknown): Uint8Array {
  return withLength(pack(value));
}

/** A batch of envelopes, each an array of whatever the test wants. */
export function batchOf(...envelopes: unknown[]): Uint8Array {
  return frameOf([1, envelopes, [], []]);
}

/** An envelope of BidAccepted, with this request number and sequence. */
export function accepted(id: number, sequence: number): unknown[] {
  return [2, id, sequence, pack([`e-${sequence}`])];
}
