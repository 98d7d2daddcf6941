import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { NodeError } from '../../core/errors.ts';
import { type DockerEndpoint, formatEndpoint } from './endpoint.ts';
import { DockerRefusal } from './errors.ts';

/** Lists of containers are the longest answers in use; one beyond this is not from Docker. */
const LONGEST_ANSWER = 64 * 1024 * 1024;

/** One request to a Docker Engine. */
export interface DockerCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** Until the answer is complete, or of a stream its head. */
  readonly timeoutMs: number;
  /** Whose connections are used; default: one for this request alone. */
  readonly agent?: Agent;
  /** Ends the request, and a stream with an error. */
  readonly signal?: AbortSignal;
  /** For messages: "create the container". */
  readonly what?: string;
}

/** What Docker answered. */
export interface DockerAnswer {
  readonly status: number;
  /** Parsed JSON; null when there was none. */
  readonly body: unknown;
}

/**
 * A request and its whole answer, whatever its status.
 * @throws NodeError EngineUnavailable without a usable answer in time
 */
export function callDocker(endpoint: DockerEndpoint, call: DockerCall): Promise<DockerAnswer> {
  return perform(endpoint, call, async (response) => ({
    status: response.statusCode ?? 0,
    body: await readJson(response),
  }));
}

/**
 * A request whose answer goes on: the stream of it, as soon as Docker begins to answer.
 * @throws NodeError EngineUnavailable without an answer in time; DockerRefusal
 */
export function openDocker(endpoint: DockerEndpoint, call: DockerCall): Promise<IncomingMessage> {
  return perform(endpoint, call, async (response) => {
    const { statusCode: status = 0 } = response;
    if (!isSuccess(status)) throw new DockerRefusal(status, await readJson(response));
    return response;
  });
}

/** True for what Docker calls done; nothing to do (304) is done. */
export function isSuccess(status: number): boolean {
  return (status >= 200 && status < 300) || status === 304;
}

async function perform<T>(
  endpoint: DockerEndpoint,
  call: DockerCall,
  read: (response: IncomingMessage) => Promise<T>,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const what = call.what === undefined ? '' : ` (${call.what})`;
  const fail = (why: string, cause?: unknown): void =>
    reject(
      new NodeError('EngineUnavailable', `Docker at ${formatEndpoint(endpoint)} ${why}${what}`, { cause }),
    );
  const send = (): ClientRequest => {
    let answered = false;
    const outgoing = open(endpoint, call);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // Docker has just closed a connection that was kept for later; it has not seen the request.
      if (outgoing.reusedSocket && !answered && isClosed(error)) current = send();
      else fail(`did not answer: ${error.message}`, error);
    });
    outgoing.on('response', (response) => {
      answered = true;
      read(response).then(resolve, (error: Error) => {
        if (error instanceof DockerRefusal) reject(error);
        else fail(`gave no usable answer: ${error.message}`, error);
      });
    });
    outgoing.end(call.body === undefined ? undefined : JSON.stringify(call.body));
    return outgoing;
  };
  let current = send();
  const timer = setTimeout(() => {
    fail(`did not answer in ${call.timeoutMs} ms`);
    current.destroy();
  }, call.timeoutMs);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function open(
  endpoint: DockerEndpoint,
  { method, path, body, headers, agent, signal }: DockerCall,
): ClientRequest {
  const target =
    endpoint.kind === 'socket' ? { socketPath: endpoint.path } : { host: endpoint.host, port: endpoint.port };
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  return httpRequest({
    ...target,
    method,
    path,
    agent: agent ?? false,
    headers: { host: 'docker', ...type, ...headers },
    ...(signal && { signal }),
  });
}

function isClosed({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE';
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    chunks.push(chunk as Uint8Array);
    bytes += (chunk as Uint8Array).length;
    if (bytes > LONGEST_ANSWER) throw new Error('it is too long');
  }
  const text = Buffer.concat(chunks).toString();
  return text === '' ? null : (JSON.parse(text) as unknown);
}
