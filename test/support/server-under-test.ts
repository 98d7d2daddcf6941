import type { ServerFactory } from '../../src/net/api/api.ts';

/** A server that the contract suite is run over, with what its library decides before the project's code is asked. */
export interface ServerUnderTest {
  readonly name: string;
  readonly create: ServerFactory;
  /**
   * Whether the project answers what is no HTTP/1.1 request, with an envelope. uWebSockets.js does so itself; it takes
   * neither HTTP/1.0 nor absolute targets, says 100 Continue before anybody looks, and waits for the mask of a frame
   * that has none until the peer misses a ping.
   */
  readonly strictParser: boolean;
}
