import { systemClock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import { type ExecutionId, type JobId, type NodeId, newExecutionId } from '../core/ids.ts';
import type { BidResult, BidWaiting, Message } from '../core/messages.ts';
import { createHost } from '../net/p2p/host.ts';
import { newIdentity } from '../net/p2p/identity.ts';
import { createWire, type Wire } from '../net/p2p/wire.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { packageVersion } from '../version.ts';

/** How long a connection and its link may take. */
const CONNECT_MS = 10_000;
/** How long what was asked for is waited for and turned down at the end. */
const CLOSE_MS = 10_000;
const REASON = 'nobody wants to run this job: a bench asked';

/** A node's answer to an ask. */
export type BidAnswer = BidResult | BidWaiting;

/** A job as it is asked for. */
export interface AskedJob {
  readonly jobId: JobId;
  /** JobSpec JSON bytes; not changed any more. */
  readonly spec: Uint8Array;
}

/** Asks one node for bids, and turns down what it offers. */
export interface BidAsker {
  readonly nodeId: NodeId;
  /** Resolves with the answer; an offer is turned down in the same turn. @throws NodeError LinkLost, Busy, … */
  ask(job: AskedJob): Promise<BidAnswer>;
  /** Waits until the node has forgotten all that it offered, and leaves. False where that is not known. */
  close(): Promise<boolean>;
}

/**
 * A peer that comes with a key of its own, asks and leaves: a requester to the node, which keeps nothing of it.
 * @param peer multiaddr of the node's swarm with its peer id
 * @throws NodeError ConfigInvalid for a malformed address, NodeUnreachable when nothing answers there
 */
export async function connectBidAsker(
  peer: string,
  modules: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<BidAsker> {
  const { logger, signal } = modules;
  const { privateKey } = await newIdentity();
  const host = await createHost({ privateKey, host: '127.0.0.1', port: 0, peers: [peer] }, { logger });
  const linked = Promise.withResolvers<NodeId>();
  // It may fail while the host still starts.
  linked.promise.catch(() => undefined);
  let asker: Asker | undefined;
  const wire = createWire(
    { hello: { roles: { compute: false, requester: true }, version: `v${packageVersion()}` } },
    {
      host,
      clock: systemClock,
      logger,
      metrics: createMetrics({ version: packageVersion(), processMetrics: false }),
      handlers: {
        peerUp: (id, { roles }) => {
          if (roles.compute) linked.resolve(id);
          else
            linked.reject(
              new NodeError('NodeUnreachable', `${peer}: the node takes no jobs: it is no compute node`),
            );
        },
        peerDown: (_, reason) => asker?.lost(reason),
        message: (_, message) => {
          asker?.receive(message);
          return Promise.resolve();
        },
        logs: () => {
          throw nothingHere();
        },
        archive: () => Promise.reject(nothingHere()),
      },
    },
  );
  const leave = async (): Promise<void> => {
    await wire.stop(Date.now() + CLOSE_MS);
    await host.stop();
  };
  const late = setTimeout(
    () => linked.reject(new NodeError('NodeUnreachable', `${peer}: no answer in ${CONNECT_MS / 1000} s`)),
    CONNECT_MS,
  );
  const abort = (): void => linked.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await wire.start();
    await host.start();
    asker = new Asker(await linked.promise, wire, leave);
    return asker;
  } catch (thrown) {
    await leave();
    throw thrown;
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', abort);
  }
}

function nothingHere(): NodeError {
  return new NodeError('ExecutionNotFound', 'this peer runs nothing');
}

interface Asked {
  readonly resolve: (answer: BidAnswer) => void;
  readonly reject: (error: Error) => void;
}

class Asker implements BidAsker {
  readonly nodeId: NodeId;
  readonly #wire: Wire;
  readonly #leave: () => Promise<void>;
  readonly #asked = new Map<ExecutionId, Asked>();
  /** Offers that the node has not forgotten yet. */
  readonly #offered = new Set<ExecutionId>();
  #isForgotten = true;
  #isClosing = false;
  #onSettled: () => void = () => undefined;

  constructor(nodeId: NodeId, wire: Wire, leave: () => Promise<void>) {
    this.nodeId = nodeId;
    this.#wire = wire;
    this.#leave = leave;
  }

  ask({ jobId, spec }: AskedJob): Promise<BidAnswer> {
    return new Promise((resolve, reject) => {
      const executionId = newExecutionId();
      this.#asked.set(executionId, { resolve, reject });
      this.#wire
        .send(this.nodeId, { type: 'AskForBid', executionId, jobId, jobVersion: 1, spec })
        .catch((error: Error) => {
          this.#asked.delete(executionId);
          reject(error);
          this.#settled();
        });
    });
  }

  receive(message: Message): void {
    if (message.type !== 'BidResult' && message.type !== 'BidWaiting') return;
    const { executionId } = message;
    // Turned down before anything else: what it holds is somebody's.
    if (message.type === 'BidWaiting' || message.accepted) this.#turnDown(executionId);
    this.#asked.get(executionId)?.resolve(message);
    this.#asked.delete(executionId);
    this.#settled();
  }

  lost(reason: string): void {
    if (this.#isClosing && this.#asked.size + this.#offered.size === 0) return;
    this.#isForgotten = this.#offered.size + this.#asked.size === 0;
    const error = new NodeError('LinkLost', `the link with ${this.nodeId} was lost: ${reason}`);
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
    this.#offered.clear();
    this.#settled();
  }

  async close(): Promise<boolean> {
    this.#isClosing = true;
    for (const executionId of this.#asked.keys()) this.#turnDown(executionId);
    const isSettled = (): boolean => this.#asked.size + this.#offered.size === 0;
    const settled = new Promise<void>((resolve) => {
      this.#onSettled = () => {
        if (isSettled()) resolve();
      };
      this.#onSettled();
    });
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, CLOSE_MS);
    await Promise.race([settled, late.promise]);
    clearTimeout(timer);
    const isForgotten = this.#isForgotten && isSettled();
    await this.#leave();
    return isForgotten;
  }

  #turnDown(executionId: ExecutionId): void {
    this.#offered.add(executionId);
    const done = (isKnown: boolean): void => {
      this.#isForgotten &&= isKnown;
      this.#offered.delete(executionId);
      // The node answers no ask that was called off.
      if (this.#isClosing) this.#asked.delete(executionId);
      this.#settled();
    };
    this.#wire.send(this.nodeId, { type: 'BidRejected', executionId, reason: REASON }).then(
      () => done(true),
      () => done(false),
    );
  }

  #settled(): void {
    this.#onSettled();
  }
}
