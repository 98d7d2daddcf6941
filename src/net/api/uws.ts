import { createRequire } from 'node:module';

/** The part of uWebSockets.js that is used here. Its own types come with an optional dependency, which may be absent. */
export interface Uws {
  App(): UwsApp;
  SSLApp(options: { readonly cert_file_name: string; readonly key_file_name: string }): UwsApp;
  us_listen_socket_close(token: UwsListenToken): void;
  us_socket_local_port(token: UwsListenToken): number;
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  readonly DISABLED: number;
  /** "silent" leaves out the header that names the server. */
  _cfg?(option: string): void;
}

declare const token: unique symbol;
declare const context: unique symbol;
export type UwsListenToken = { readonly [token]: true };
export type UwsContext = { readonly [context]: true };

export interface UwsApp {
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): UwsApp;
  ws<T>(pattern: string, behaviour: UwsBehaviour<T>): UwsApp;
  /** +1 for a connection that opens, -1 for one that closes as HTTP. */
  filter(handler: (response: UwsResponse, change: number) => void): UwsApp;
  listen(host: string, port: number, options: number, done: (token: UwsListenToken | false) => void): UwsApp;
  /** Seconds for the head of a request, and between two pieces of its body. */
  setIdleTimeout?(seconds: number): UwsApp;
  /** Seconds an answered connection may be silent, or its peer may take nothing. */
  setResponseTimeout?(seconds: number): UwsApp;
  close(): UwsApp;
}

/** Not to be touched after `onAborted`, a completed answer or an upgrade: it throws then. */
export interface UwsResponse {
  onAborted(handler: () => void): UwsResponse;
  /** The chunk is gone when the handler returns. */
  onData(handler: (chunk: ArrayBuffer, last: boolean) => void): UwsResponse;
  onWritable(handler: (offset: number) => boolean): UwsResponse;
  cork(write: () => void): UwsResponse;
  writeStatus(status: string): UwsResponse;
  writeHeader(name: string, value: string): UwsResponse;
  /** A piece of a chunked answer; false when some of it waits. */
  write(piece: Uint8Array): boolean;
  end(body?: string | Uint8Array, closeConnection?: boolean): UwsResponse;
  endWithoutBody(length?: number, closeConnection?: boolean): UwsResponse;
  /** As much of a body of `total` bytes as the kernel takes; [all of the piece, all of the body]. */
  tryEnd(piece: Uint8Array, total: number): [taken: boolean, complete: boolean];
  /** Bytes of the body taken so far. */
  getWriteOffset(): number;
  close(): UwsResponse;
  getRemoteAddressAsText(): ArrayBuffer;
  upgrade<T>(data: T, key: string, protocol: string, extensions: string, context: UwsContext): void;
}

/** Gone when its handler returns. */
export interface UwsRequest {
  /** By lower-case name; "" when absent. */
  getHeader(name: string): string;
  getCaseSensitiveMethod(): string;
  /** Without the query. */
  getUrl(): string;
  getQuery(): string | undefined;
  forEach(visit: (name: string, value: string) => void): void;
}

export interface UwsBehaviour<T> {
  readonly compression: number;
  readonly maxPayloadLength: number;
  readonly maxBackpressure: number;
  readonly closeOnBackpressureLimit: boolean;
  readonly idleTimeout: number;
  readonly sendPingsAutomatically: boolean;
  readonly upgrade: (response: UwsResponse, request: UwsRequest, context: UwsContext) => void;
  readonly open: (socket: UwsWebSocket<T>) => void;
  readonly drain: (socket: UwsWebSocket<T>) => void;
  readonly pong: (socket: UwsWebSocket<T>) => void;
  readonly close: (socket: UwsWebSocket<T>) => void;
}

/** Not to be touched after `close`: it throws then. */
export interface UwsWebSocket<T> {
  getUserData(): T;
  getBufferedAmount(): number;
  /** 1: the kernel has it, 0: some of it waits, 2: dropped, for too much waits. */
  send(data: string | Uint8Array, binary: boolean): number;
  ping(): number;
  end(code: number, reason: string): void;
  close(): void;
}

/** The name it is installed under (package.json, optionalDependencies). */
const MODULE = 'uWebSockets.js';
/** Read once, when the binary is loaded. */
const HEADER_LIMIT = 'UWS_HTTP_MAX_HEADERS_SIZE';

/** Sets a variable of the environment while something runs: `withVariable` of src/config. */
export type WithVariable = <T>(name: string, value: string, run: () => T) => T;

/**
 * Loads uWebSockets.js, or says why it can not be used here.
 * @param headerBytes bound of a request's head: the first call decides for the process
 */
export function loadUws(headerBytes: number, withVariable: WithVariable): Uws | { readonly why: string } {
  try {
    const require = createRequire(import.meta.url);
    const uws = withVariable(HEADER_LIMIT, String(headerBytes), () => require(MODULE) as Uws);
    uws._cfg?.('silent');
    return uws;
  } catch (error) {
    return { why: explain(error) };
  }
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes(`'${MODULE}'`)) return `the optional package ${MODULE} is not installed`;
  const wanted = /version `GLIBC_([\d.]+)' not found/.exec(message)?.[1];
  if (wanted !== undefined) return `its binary needs glibc ${wanted} or newer, this machine has ${glibc()}`;
  const platform = `${process.platform} ${process.arch}, Node.js ${process.versions.node}`;
  const reason = message.split('\n').findLast((line) => line.trim() !== '') ?? message;
  return `its binary does not load here (${platform}): ${reason.trim()}`;
}

function glibc(): string {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime ?? 'none';
}
