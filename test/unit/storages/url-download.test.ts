import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import type { Resolve } from '../../../src/storages/address-guard.ts';
import type { Storage } from '../../../src/storages/storage.ts';
import { createUrlStorage, type UrlStorageOptions } from '../../../src/storages/url-download.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { inputSource } from '../../support/publishing.ts';

interface Site {
  readonly port: number;
  readonly requests: IncomingMessage[];
}

async function serve(t: TestContext, handle: RequestListener): Promise<Site> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, requests };
}

function storage(options: Partial<UrlStorageOptions> = {}, resolve: Resolve = loopback): Storage {
  return createUrlStorage(
    { allowList: ['allowed.test'], stallMs: 5000, retries: 0, ...options },
    { resolve, backoffMs: () => 1 },
  );
}

/** Every name is this machine, as a rebinding DNS server would have it. */
const loopback: Resolve = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
const code =
  (expected: string, text = /./) =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof NodeError, String(thrown));
    assert.equal(thrown.code, expected, thrown.message);
    assert.match(thrown.message, text);
    return true;
  };

async function prepare(
  t: TestContext,
  from: Storage,
  url: string,
  parts: { maxBytes?: number; signal?: AbortSignal } = {},
): Promise<{ folder: string; directory: string; bytes: number }> {
  const directory = await temporaryFolder(t);
  const context = { directory, maxBytes: 1_000_000, signal: new AbortController().signal, ...parts };
  try {
    const prepared = await from.prepare(inputSource('urlDownload', { URL: url }), context);
    return { folder: prepared.path, directory, bytes: prepared.bytes };
  } catch (thrown) {
    assert.deepEqual(await readdir(directory), [], 'nothing is left');
    throw thrown;
  }
}

test('a file appears under its own name', async (t) => {
  const site = await serve(t, (_, response) => response.end('content'));
  const { folder, bytes } = await prepare(t, storage(), `http://allowed.test:${site.port}/a/data.csv?q=1`);
  assert.equal(await readFile(join(folder, 'data.csv'), 'utf8'), 'content');
  assert.equal(bytes, 7);
  assert.equal(site.requests[0]?.headers.host, `allowed.test:${site.port}`);
});

test('a private address behind a name is refused before any connection', async (t) => {
  const site = await serve(t, (_, response) => response.end('secret'));
  for (const host of ['evil.test', '127.0.0.1', '[::ffff:127.0.0.1]', '0x7f.1', '2130706433', 'localhost']) {
    await assert.rejects(prepare(t, storage(), `http://${host}:${site.port}/`), code('InputForbidden'));
  }
  assert.equal(site.requests.length, 0);
});

test('a redirect is checked like the first URL', async (t) => {
  const inner = await serve(t, (_, response) => response.end('secret'));
  const site = await serve(t, (request, response) => {
    const target = request.url === '/name' ? 'evil.test' : '127.0.0.1';
    response.writeHead(302, { location: `http://${target}:${inner.port}/` }).end();
  });
  for (const path of ['/name', '/address']) {
    await assert.rejects(
      prepare(t, storage(), `http://allowed.test:${site.port}${path}`),
      code('InputForbidden'),
    );
  }
  assert.equal(inner.requests.length, 0);
});

test('a redirect to another scheme is refused', async (t) => {
  for (const location of ['file:///etc/passwd', 'ftp://x/y', 'data:,x', 'http://']) {
    const site = await serve(t, (_, response) => response.writeHead(301, { location }).end());
    await assert.rejects(prepare(t, storage(), `http://allowed.test:${site.port}/`), code('InputForbidden'));
  }
});

test('the connection goes to the address that was checked, whatever DNS says later', async (t) => {
  const site = await serve(t, (_, response) => response.end('secret'));
  let asked = 0;
  const rebinding: Resolve = () => {
    asked += 1;
    // An allowed address at first, where nobody answers, then this machine.
    return Promise.resolve([{ address: asked === 1 ? '192.0.2.1' : '127.0.0.1', family: 4 }]);
  };
  const signal = AbortSignal.timeout(300);
  const from = storage({ allowList: ['192.0.2.0/24'], stallMs: 200 }, rebinding);
  await assert.rejects(prepare(t, from, `http://rebind.test:${site.port}/`, { signal }));
  assert.equal(asked, 1);
  assert.equal(site.requests.length, 0);
});

test('redirects are followed, up to a limit', async (t) => {
  const site = await serve(t, (request, response) => {
    const left = Number(/\d+/.exec(request.url ?? '')?.[0]);
    if (left === 0) response.setHeader('content-disposition', 'attachment; filename="final.txt"').end('x');
    else response.writeHead(307, { location: `/${left - 1}` }).end();
  });
  const base = `http://allowed.test:${site.port}`;
  const { folder } = await prepare(t, storage(), `${base}/10`);
  assert.deepEqual(await readdir(folder), ['final.txt']);
  await assert.rejects(prepare(t, storage(), `${base}/11`), code('InputUnavailable', /redirects more than/));
});

test('credentials stay with their host', async (t) => {
  const other = await serve(t, (_, response) => response.end('x'));
  const site = await serve(t, (_, response) =>
    response.writeHead(302, { location: `http://allowed.test:${other.port}/x` }).end(),
  );
  await prepare(t, storage(), `http://user:p%40ss@allowed.test:${site.port}/`);
  const sent = site.requests[0]?.headers.authorization ?? '';
  assert.equal(Buffer.from(sent.replace('Basic ', ''), 'base64').toString(), 'user:p@ss');
  assert.equal(other.requests[0]?.headers.authorization, undefined);
});

test('an error names the URL without credentials and query', async (t) => {
  const site = await serve(t, (_, response) => response.writeHead(404).end());
  const url = `http://user:secret@allowed.test:${site.port}/x?token=secret`;
  await assert.rejects(prepare(t, storage(), url), (thrown) => {
    assert.ok(code('InputUnavailable', /\/x answered 404/)(thrown));
    return !String((thrown as Error).message).includes('secret');
  });
});

test('passing failures are tried again, others are not', async (t) => {
  let failures = 2;
  const site = await serve(t, (_, response) => {
    failures -= 1;
    if (failures >= 0) response.writeHead(503).end();
    else response.end('x');
  });
  const url = `http://allowed.test:${site.port}/x`;
  await prepare(t, storage({ retries: 2 }), url);
  assert.equal(site.requests.length, 3);
  failures = 10;
  await assert.rejects(prepare(t, storage({ retries: 2 }), url), code('InputUnavailable', /503/));
  assert.equal(site.requests.length, 6);
  const gone = await serve(t, (_, response) => response.writeHead(410).end());
  await assert.rejects(
    prepare(t, storage({ retries: 2 }), `http://allowed.test:${gone.port}/`),
    code('InputUnavailable'),
  );
  assert.equal(gone.requests.length, 1);
});

test('a body that breaks off is fetched again from its beginning', async (t) => {
  let first = true;
  const site = await serve(t, (_, response) => {
    response.writeHead(200, { 'content-length': 10 });
    if (first) response.write('01234', () => response.destroy());
    else response.end('0123456789');
    first = false;
  });
  const { folder, bytes } = await prepare(t, storage({ retries: 1 }), `http://allowed.test:${site.port}/x`);
  assert.equal(bytes, 10);
  assert.equal(await readFile(join(folder, 'x'), 'utf8'), '0123456789');
});

test('a size over the limit is refused by its header, and by its bytes where there is none', async (t) => {
  const honest = await serve(t, (_, response) => response.end(Buffer.alloc(2000)));
  const endless = await serve(t, (_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(64_000)));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  });
  for (const { port } of [honest, endless]) {
    const url = `http://allowed.test:${port}/x`;
    await assert.rejects(prepare(t, storage(), url, { maxBytes: 1999 }), code('InputTooLarge'));
  }
});

test('a server that falls silent is given up', async (t) => {
  const site = await serve(t, (request, response) => {
    if (request.url === '/body') response.write('x');
  });
  for (const path of ['/headers', '/body']) {
    const url = `http://allowed.test:${site.port}${path}`;
    await assert.rejects(prepare(t, storage({ stallMs: 100 }), url), code('InputUnavailable', /[Tt]imeout/));
  }
});

test('an abort ends a download', async (t) => {
  const controller = new AbortController();
  const site = await serve(t, (_, response) => {
    response.write('x', () => controller.abort());
  });
  const url = `http://allowed.test:${site.port}/`;
  await assert.rejects(prepare(t, storage(), url, { signal: controller.signal }), code('InputUnavailable'));
});

test('only http and https', async (t) => {
  for (const url of ['ftp://x/y', 'file:///etc/passwd', 'data:,x', 'nonsense', 'http://']) {
    await assert.rejects(prepare(t, storage(), url), code('InputInvalid'));
  }
});
