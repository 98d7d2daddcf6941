import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { TestContext } from 'node:test';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';

/** A registry on the loopback that passes requests on, counts them, and can hold the layers back. */
export interface RegistryProxy {
  /** "127.0.0.1:port". */
  readonly address: string;
  /** "GET /v2/..." of every request so far. */
  readonly requests: readonly string[];
  /** The bytes of layers wait until `release`; their headers do not. */
  hold(): void;
  release(): void;
  /** Answers layers with this status from now on. */
  failLayers(status: number): void;
  /** Requests whose sender went away before it had the answer. */
  readonly abandoned: number;
  /** Resolves when a request for a layer has come. */
  layerAsked(): Promise<void>;
}

/** Stands before the registry at `target` ("127.0.0.1:5000") until the test ends. */
export async function registryProxy(t: TestContext, target: string): Promise<RegistryProxy> {
  const requests: string[] = [];
  let gate = Promise.resolve();
  let openGate = (): void => undefined;
  let layerStatus = 0;
  let abandoned = 0;
  const layerAsked = Promise.withResolvers<void>();
  const [host = '', port = ''] = target.split(':');
  const server: Server = createServer((incoming, outgoing) => {
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) abandoned += 1;
    });
    requests.push(`${incoming.method} ${incoming.url}`);
    const layer = incoming.method === 'GET' && /\/blobs\//.test(incoming.url ?? '');
    if (layer) layerAsked.resolve();
    if (layer && layerStatus !== 0) {
      outgoing.writeHead(layerStatus).end();
      return;
    }
    const { method, url, headers } = incoming;
    const passed = httpRequest({ host, port, method, path: url, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      outgoing.flushHeaders();
      void (layer ? gate : Promise.resolve()).then(() => response.pipe(outgoing));
    });
    passed.on('error', () => outgoing.destroy());
    outgoing.on('close', () => passed.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    openGate();
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP port');
  return {
    address: `127.0.0.1:${address.port}`,
    requests,
    hold: () => {
      ({ promise: gate, resolve: openGate } = Promise.withResolvers<void>());
    },
    release: () => openGate(),
    failLayers: (status) => {
      layerStatus = status;
    },
    get abandoned() {
      return abandoned;
    },
    layerAsked: () => layerAsked.promise,
  };
}

/**
 * Pushes an image that nobody has seen before to a registry, and removes it here: `base` with one more layer,
 * `bytes` of noise. Returns the name without the registry: "probe-...:1".
 */
export async function pushFreshImage(
  docker: Docker,
  registry: string,
  base: string,
  bytes: number,
): Promise<string> {
  const repo = `probe-${randomUUID()}`;
  const tar = pack();
  tar.entry({ name: 'noise' }, randomBytes(bytes));
  tar.finalize();
  const container = await docker.createContainer({ Image: base });
  try {
    await container.putArchive(tar as unknown as NodeJS.ReadableStream, { path: '/' });
    await container.commit({ repo: `${registry}/${repo}`, tag: '1' });
  } finally {
    await container.remove({ v: true });
  }
  const image = docker.getImage(`${registry}/${repo}:1`);
  await drained(await image.push({ authconfig: { username: '', password: '' } }));
  await image.remove();
  return `${repo}:1`;
}

async function drained(stream: NodeJS.ReadableStream): Promise<void> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  if (text.includes('"error"')) throw new Error(text.slice(-500));
}
