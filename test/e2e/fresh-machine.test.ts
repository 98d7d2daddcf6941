import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { it, type TestContext } from 'node:test';
import { type FreshMachine, type FreshProcess, freshMachine } from '../support/fresh-machine.ts';
import { waitUntil } from '../support/node.ts';

/** What the README's first command may take on a warm package cache. */
const START_MS = 120_000;
/** A cold cache has all packages to fetch. */
const INSTALL_MS = 480_000;

async function done(process: FreshProcess, what: string, timeoutMs = 60_000): Promise<string> {
  const timer = setTimeout(() => process.kill(), timeoutMs);
  const code = await process.ended;
  clearTimeout(timer);
  assert.equal(code, 0, `${what} ended with ${code}:\n${process.output.slice(-4000)}`);
  return process.stdout;
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

/** Settings that move the node to free ports where the usual ones are taken: the network is this machine's. */
async function ports(): Promise<{
  serve: Record<string, string>;
  client: Record<string, string>;
  text: string;
}> {
  if ((await isFree(1234, '127.0.0.1')) && (await isFree(1235, '0.0.0.0'))) {
    return { serve: {}, client: {}, text: 'ports 1234 and 1235' };
  }
  const port = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
  return {
    serve: { BACALHAU_SERVER_PORT: String(port), BACALHAU_LIBP2P_SWARMPORT: '0' },
    client: { BACALHAU_API_PORT: String(port) },
    text: 'free ports, because 1234 or 1235 is taken here',
  };
}

async function machine(t: TestContext): Promise<FreshMachine | undefined> {
  const made = await freshMachine();
  if ('skip' in made) {
    console.log(`SKIPPED: the README's commands on a fresh machine: ${made.skip}`);
    t.skip(made.skip);
    return undefined;
  }
  t.after(() => made.remove());
  return made;
}

it("the README's two commands work on a fresh Debian with Node 20 and npm only", {
  timeout: 900_000,
}, async (t) => {
  const fresh = await machine(t);
  if (fresh === undefined) return;
  const bare = await done(
    fresh.shell(
      'node --version; for tool in docker dockerd ipfs cc gcc clang make python3 git; do command -v $tool; done; true',
    ),
    'looking at what is there',
  );
  assert.match(bare, /^v20\.\d+\.\d+\n$/, 'Node 20 and nothing of what jobs or builds could use');

  // Whatever this machine's package cache holds, the second time it is warm.
  await done(fresh.shell('npm ci'), 'npm ci', INSTALL_MS);
  await done(fresh.shell('rm -rf node_modules'), 'removing node_modules');

  const { serve, client, text } = await ports();
  const started = performance.now();
  const node = fresh.shell('npm ci && npm start', serve);
  await waitUntil(
    () => node.output.includes('Press Ctrl+C to stop.') || !node.running,
    'npm ci && npm start brings a node up',
    INSTALL_MS,
    100,
  );
  const elapsed = performance.now() - started;
  assert.ok(node.running, `npm ci && npm start ended:\n${node.output.slice(-4000)}`);
  console.log(
    `fresh machine: npm ci && npm start took ${(elapsed / 1000).toFixed(1)} s on a warm cache (${text})`,
  );
  assert.ok(elapsed < START_MS, `npm ci && npm start took ${elapsed} ms`);
  assert.match(node.output, /Engines +.*\bwasm\b/);
  assert.doesNotMatch(node.output, /Engines +.*\bdocker\b/);

  const shown = await done(
    fresh.shell('npx bacalhau wasm run --id-only examples/hello.wasm', client),
    'npx bacalhau wasm run',
  );
  const id = shown.trim();
  assert.match(id, /^j-[0-9a-f-]{36}$/);
  const results = await done(
    fresh.shell(
      `npx bacalhau job describe ${id} >/dev/null && npx bacalhau job get ${id} >/dev/null && cat job-${id}/stdout && cat job-${id}/exitCode`,
      client,
    ),
    'npx bacalhau job get',
  );
  assert.match(results, /hello bacalhau!\n0$/);

  node.interrupt();
  const code = await node.ended;
  assert.ok(
    [0, 130].includes(code),
    `after Ctrl+C npm start ended with ${code}:\n${node.output.slice(-2000)}`,
  );

  const tests = await done(
    fresh.shell('npm test -- unit/core', { TEST_SERVICES: 'none' }),
    'npm test -- unit/core',
    INSTALL_MS,
  );
  assert.match(tests, /\bfail(?:ed)?\b.*\b0\b|\b0 failed\b/i, tests.slice(-2000));
});
