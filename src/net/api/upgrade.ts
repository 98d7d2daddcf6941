import type { HttpRequest, SocketRoute } from './adapter.ts';
import { NO_BODY } from './exchange.ts';

/** The first of the client's subprotocols (Sec-WebSocket-Protocol) that the route speaks; "" when there is none. */
export function agreedProtocol(offered: Iterable<string>, route: SocketRoute): string {
  const spoken = route.protocols ?? [];
  for (const name of offered) if (spoken.includes(name)) return name;
  return '';
}

/** The request of an upgrade. It has no body. */
export class UpgradeRequest implements HttpRequest {
  readonly method = 'GET';
  readonly id: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly remoteAddress: string;
  readonly params: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly #headers: (name: string) => string;

  constructor(
    head: {
      id: string;
      path: string;
      search: string;
      remoteAddress: string;
      header: (name: string) => string;
    },
    params: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) {
    this.id = head.id;
    this.path = head.path;
    this.query = new URLSearchParams(head.search);
    this.remoteAddress = head.remoteAddress;
    this.#headers = head.header;
    this.params = params;
    this.signal = signal;
  }

  header(name: string): string {
    return this.#headers(name);
  }

  body(): Promise<Uint8Array> {
    return Promise.resolve(NO_BODY);
  }
}
