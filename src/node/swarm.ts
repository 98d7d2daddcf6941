import { NodeError } from '../core/errors.ts';
import type { NodeId } from '../core/ids.ts';
import { createEmbeddedIpfs, type EmbeddedIpfs } from '../ipfs/embedded/node.ts';
import type { IpfsConfig } from '../ipfs/options.ts';
import { createHost, type P2pHost } from '../net/p2p/host.ts';
import type { Identity } from '../net/p2p/identity.ts';
import type { P2pConfig } from '../net/p2p/options.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Question } from '../workers/protocol.ts';

export interface SwarmOptions {
  readonly identity: Identity;
  readonly p2p: P2pConfig;
  readonly ipfs: IpfsConfig;
  readonly blocksDirectory: string;
}

export interface SwarmModules {
  readonly logger: Logger;
  /** Puts protocols on the host before it listens. */
  readonly onHost: (host: P2pHost) => Promise<void>;
}

/** The libp2p host with the embedded IPFS node on it, unless a daemon is used instead. */
export class Swarm {
  readonly #options: SwarmOptions;
  readonly #logger: Logger;
  readonly #onHost: SwarmModules['onHost'];
  #host: P2pHost | undefined;
  #ipfs: EmbeddedIpfs | undefined;

  constructor(options: SwarmOptions, modules: SwarmModules) {
    this.#options = options;
    this.#logger = modules.logger;
    this.#onHost = modules.onHost;
  }

  /** @throws NodeError PortInUse, ConfigInvalid */
  async start(): Promise<void> {
    const { identity, p2p, ipfs, blocksDirectory } = this.#options;
    const logger = this.#logger;
    const host = await createHost(
      {
        privateKey: identity.privateKey,
        host: p2p.host,
        port: p2p.port,
        peers: [...p2p.peers, ...ipfs.peers],
      },
      { logger },
    );
    this.#host = host;
    if (ipfs.connect === '') {
      this.#ipfs = createEmbeddedIpfs({ blocksDirectory }, { libp2p: host.libp2p, logger });
      await this.#ipfs.start();
    }
    await this.#onHost(host);
    await host.start();
  }

  /** Answers what a thread asks of the main thread. */
  async answer(question: Question): Promise<unknown> {
    if (this.#ipfs === undefined) {
      throw new NodeError(
        'InputUnavailable',
        `IPFS block ${question.cid}: the embedded IPFS node is not running`,
      );
    }
    return await this.#ipfs.want(question.cid);
  }

  addresses(): readonly string[] {
    return this.#host?.addresses() ?? [];
  }

  /** Connected ones, Bacalhau nodes or not. */
  peers(): readonly NodeId[] {
    return this.#host?.peers() ?? [];
  }

  async stop(): Promise<void> {
    await this.#ipfs?.stop();
    await this.#host?.stop();
  }
}
