import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { type RecordedExchange, recordingsFolder } from './recordings.ts';

/** One recorded command line with all that went over the wire. */
export interface RecordedCommand {
  readonly command: string;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly http: readonly RecordedExchange[];
}

/** Reads `<name>.json` of the recordings; whole numbers beyond 2^53 keep their digits. */
export function loadCommand(name: string): RecordedCommand {
  return JSON.parse(readFileSync(join(recordingsFolder, `${name}.json`), 'utf8')) as RecordedCommand;
}

/** A request as it came. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** An API that answers with what was recorded, each exchange once; the last one of a path again and again. */
export interface ReplayServer {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** Adds an answer to a path that no recording has. */
  add(exchange: Partial<RecordedExchange> & { method: string; path: string; body?: Buffer }): void;
  close(): Promise<void>;
}

type Answer = Partial<RecordedExchange> & { readonly body?: Buffer };

const NOT_FOUND = {
  Status: 404,
  Message: 'The requested resource/URL was not found.',
  RequestID: '',
  Code: 'NotFound',
  Component: 'APIServer',
};

async function readBody(request: AsyncIterable<unknown>): Promise<unknown> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const text = Buffer.concat(pieces).toString('utf8');
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** Starts a server for the exchanges of one recording. */
export async function replay(exchanges: readonly RecordedExchange[]): Promise<ReplayServer> {
  const answers = new Map<string, Answer[]>();
  const seen: SeenRequest[] = [];
  const add = (answer: Answer & { method: string; path: string }): void => {
    const key = `${answer.method} ${answer.path}`;
    answers.set(key, [...(answers.get(key) ?? []), answer]);
  };
  for (const exchange of exchanges) add(exchange);
  const next = (method: string, path: string): Answer | undefined => {
    const list = answers.get(`${method} ${path}`);
    return list !== undefined && list.length > 1 ? list.shift() : list?.[0];
  };

  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const method = request.method ?? '';
      const path = request.url ?? '';
      seen.push({ method, path, body });
      const answer = next(method, path);
      if (answer?.body !== undefined) {
        response.writeHead(answer.status ?? 200, { 'content-type': 'application/gzip' }).end(answer.body);
        return;
      }
      response.writeHead(answer?.status ?? 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer === undefined ? NOT_FOUND : answer.responseBody));
    });
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    const path = request.url ?? '';
    seen.push({ method: 'WEBSOCKET', path, body: null });
    const answer = next('WEBSOCKET', path);
    sockets.handleUpgrade(request, socket, head, (connection) => {
      for (const frame of answer?.frames ?? []) connection.send(JSON.stringify(frame.data));
      connection.close(answer?.close?.code ?? 1000);
    });
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    add,
    close: async () => {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
