import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createHost, type P2pHost } from '../../src/net/p2p/host.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { Scope } from './node.ts';

const PROTOCOL = '/test/1.0.0';
const logger = createLogger({ level: 'silent', mode: 'json', colour: false });

async function host(t: Scope): Promise<P2pHost> {
  const privateKey = privateKeyToProtobuf(await generateKeyPair('Ed25519'));
  const created = await createHost({ privateKey, host: '127.0.0.1', port: 0, peers: [] }, { logger });
  t.after(() => created.stop());
  await created.start();
  return created;
}

/** The two ends of a stream. */
export interface StreamEnds {
  readonly local: Stream;
  readonly remote: Stream;
}

/** A stream between two hosts on the loopback, as the daemon configures them, and more over the same connection. */
export async function streamPair(t: Scope): Promise<StreamEnds & { another(): Promise<StreamEnds> }> {
  const [from, to] = await Promise.all([host(t), host(t)]);
  const accepted: ((stream: Stream) => void)[] = [];
  await to.libp2p.handle(PROTOCOL, (stream) => accepted.shift()?.(stream));
  const [address = ''] = to.addresses();
  const another = async (): Promise<StreamEnds> => {
    const remote = new Promise<Stream>((resolve) => accepted.push(resolve));
    const local = await from.libp2p.dialProtocol(multiaddr(address), PROTOCOL);
    return { local, remote: await remote };
  };
  return { ...(await another()), another };
}
