import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { ImagePlatforms } from '../../../src/engines/docker/image-platforms.ts';
import { imagePlatform } from '../../../src/workers/bid/strategies/image-platform.ts';
import { askedJob } from '../../support/bid.ts';
import { testDocker } from '../../support/docker.ts';

const signal = new AbortController().signal;

/** A Docker Engine that knows what the test tells it. */
async function engine(
  t: TestContext,
  answers: Readonly<Record<string, unknown>>,
): Promise<{ host: string; asked: string[] }> {
  const asked: string[] = [];
  const listener: RequestListener = (request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const answer = answers[path];
    if (answer === 'hangs') return;
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer ?? { message: 'no' }));
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const VERSION = { Os: 'linux', Arch: 'amd64' };

function platforms(
  host: string,
  more: { keepMs?: number; keepFailureMs?: number; timeoutMs?: number } = {},
): ImagePlatforms {
  return new ImagePlatforms({ dockerHost: host, dockerUsername: '', dockerPassword: '', ...more });
}

async function verdict(lookup: ImagePlatforms, Image: string): Promise<string> {
  const strategy = imagePlatform(() => Promise.resolve(lookup));
  const job = askedJob({ Engine: { Type: 'docker', Params: { Image } } });
  assert.equal(strategy.applies(job), true);
  const said = await strategy.decide(job, signal);
  return said.kind === 'no' ? said.reason : said.kind;
}

test('an image of this machine, one of a registry, and only a known mismatch refuses', async (t) => {
  const { host, asked } = await engine(t, {
    '/version': VERSION,
    '/images/here:1/json': { Os: 'linux', Architecture: 'amd64' },
    '/images/pi:latest/json': { Os: 'linux', Architecture: 'arm', Variant: 'v7' },
    '/distribution/both:2/json': {
      Platforms: [
        { os: 'linux', architecture: 'arm64', variant: 'v8' },
        { os: 'linux', architecture: 'amd64' },
        { os: 'unknown', architecture: 'unknown' },
      ],
    },
    '/distribution/windows:1/json': { Platforms: [{ os: 'windows', architecture: 'amd64' }] },
    '/distribution/attested:1/json': { Platforms: [{ os: 'unknown', architecture: 'unknown' }] },
  });
  const lookup = platforms(host);
  assert.equal(await verdict(lookup, 'here:1'), 'yes');
  assert.equal(
    await verdict(lookup, 'pi'),
    'support the available image platforms [linux/arm/v7] (supports [linux/amd64])',
  );
  assert.equal(await verdict(lookup, 'both:2'), 'yes');
  assert.match(await verdict(lookup, 'windows:1'), /\[windows\/amd64\]/);
  assert.equal(await verdict(lookup, 'attested:1'), 'yes');
  assert.equal(await verdict(lookup, 'missing:1'), 'yes', 'for the pull to find out');
  assert.equal(await verdict(lookup, 'NOT an image'), 'yes', 'for the engine to say');
  const before = asked.length;
  for (const image of ['here:1', 'pi', 'both:2', 'windows:1', 'missing:1']) await verdict(lookup, image);
  assert.equal(asked.length, before, 'answers and failures are kept');
});

test('a registry that hangs costs its time once; a failure is asked again soon', async (t) => {
  const answers: Record<string, unknown> = { '/version': VERSION, '/distribution/slow:1/json': 'hangs' };
  const { host, asked } = await engine(t, answers);
  const lookup = platforms(host, { timeoutMs: 100, keepFailureMs: 50 });
  const startedAt = performance.now();
  const all = await Promise.all(Array.from({ length: 20 }, () => verdict(lookup, 'slow:1')));
  assert.ok(performance.now() - startedAt < 1000);
  assert.deepEqual(new Set(all), new Set(['yes']));
  assert.equal(asked.filter((path) => path.includes('slow')).length, 2, 'one question each, shared');
  answers['/distribution/slow:1/json'] = { Platforms: [{ os: 'plan9', architecture: 'mips' }] };
  await new Promise((resolve) => setTimeout(resolve, 80));
  assert.match(await verdict(lookup, 'slow:1'), /plan9\/mips/);
});

test('without Docker nothing is known, and nothing refused', async () => {
  const lookup = platforms('unix:///nonexistent/docker.sock');
  assert.equal(await verdict(lookup, 'ubuntu'), 'yes');
  const wasm = askedJob({ Engine: { Type: 'wasm' } }, { engine: 'wasm' });
  assert.equal(imagePlatform(() => Promise.resolve(lookup)).applies(wasm), false);
});

test('a real Docker Engine tells its own platform, a local image’s and one of a registry', async (t) => {
  const docker = testDocker(t);
  if (docker === undefined) return;
  const lookup = platforms(docker.dockerHost);
  const own = await lookup.ofEngine();
  assert.equal(own?.os, 'linux');
  assert.deepEqual(
    (await lookup.ofImage(docker.image))?.map(({ os, architecture }) => [os, architecture]),
    [[own?.os, own?.architecture]],
  );
  assert.equal(await verdict(lookup, docker.image), 'yes');
  assert.equal(await verdict(lookup, `${docker.registry ?? '127.0.0.1:1'}/nothing:1`), 'yes');
});
