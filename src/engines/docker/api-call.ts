import { request as httpRequest, type IncomingMessage } from 'node:http';
import { NodeError } from '../../core/errors.ts';
import { type DockerEndpoint, formatEndpoint } from './endpoint.ts';

/** Lists of containers are the longest answers in use; one beyond this is not from Docker. */
const LONGEST_ANSWER = 64 * 1024 * 1024;

/** What Docker answered. */
export interface DockerAnswer {
  readonly status: number;
  /** Parsed JSON; null when there was none. */
  readonly body: unknown;
}

/**
 * One request to a Docker Engine over node:http alone, for callers that should not load dockerode (some 17 MB).
 * @throws NodeError EngineUnavailable without a usable answer in `timeoutMs`
 */
export async function callDocker(
  endpoint: DockerEndpoint,
  method: string,
  path: string,
  timeoutMs: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<DockerAnswer> {
  const target =
    endpoint.kind === 'socket' ? { socketPath: endpoint.path } : { host: endpoint.host, port: endpoint.port };
  const { promise, resolve, reject } = Promise.withResolvers<DockerAnswer>();
  const fail = (why: string, cause?: unknown): void =>
    reject(new NodeError('EngineUnavailable', `Docker at ${formatEndpoint(endpoint)} ${why}`, { cause }));
  const outgoing = httpRequest({
    ...target,
    method,
    path,
    agent: false,
    headers: { host: 'docker', ...headers },
  });
  const timer = setTimeout(() => {
    fail(`did not answer in ${timeoutMs} ms`);
    outgoing.destroy();
  }, timeoutMs);
  outgoing.on('error', (error) => fail(`did not answer: ${error.message}`, error));
  outgoing.on('response', (response) => {
    readJson(response).then(
      (body) => resolve({ status: response.statusCode ?? 0, body }),
      (error: Error) => fail(`gave no usable answer: ${error.message}`, error),
    );
  });
  outgoing.end();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    outgoing.destroy();
  }
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
