import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { describe, it } from 'node:test';
import type { DockerClient } from '../../../../src/engines/docker/client.ts';
import { parseImageReference } from '../../../../src/engines/docker/image-reference.ts';
import { followPull, ImagePulls, type PullProgress } from '../../../../src/engines/docker/pulls.ts';
import { codeIs } from '../../../contract/engine.ts';

const IMAGE = parseImageReference('busybox:1');
const ignore = (): void => undefined;

function lines(...objects: object[]): Readable {
  const bytes = Buffer.from(objects.map((object) => `${JSON.stringify(object)}\r\n`).join(''));
  // Seven bytes a chunk: no line comes in one piece.
  return Readable.from(
    Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) => bytes.subarray(i * 7, i * 7 + 7)),
  );
}

class PullingClient {
  readonly streams: PassThrough[] = [];
  readonly accounts: unknown[] = [];
  aborted = 0;
  present = true;

  pull(_reference: unknown, account: unknown, signal: AbortSignal): Promise<Readable> {
    const stream = new PassThrough();
    this.streams.push(stream);
    this.accounts.push(account);
    signal.addEventListener('abort', () => {
      this.aborted += 1;
      stream.destroy(new Error('aborted'));
    });
    return Promise.resolve(stream);
  }

  hasImage(): Promise<boolean> {
    return Promise.resolve(this.present);
  }

  get asClient(): DockerClient {
    return this as unknown as DockerClient;
  }
}

describe('followPull', () => {
  it('adds the layers up', async () => {
    const told: PullProgress[] = [];
    const stream = lines(
      { status: 'Pulling from library/busybox', id: '1' },
      { status: 'Downloading', id: 'a', progressDetail: { current: 10, total: 100 } },
      { status: 'Downloading', id: 'b', progressDetail: { current: 5, total: 50 } },
      { status: 'Download complete', id: 'a', progressDetail: {} },
      { status: 'Extracting', id: 'a', progressDetail: { current: 1, total: 400 } },
      { status: 'Status: Downloaded newer image' },
    );
    await followPull('busybox:1', stream, (progress) => told.push(progress));
    assert.deepEqual(told.at(-1), { doneBytes: 105, totalBytes: 150 });
  });

  for (const [failure, code] of [
    [{ errorDetail: { message: 'manifest unknown' }, error: 'manifest unknown' }, 'ImageNotFound'],
    [{ error: 'unexpected EOF' }, 'ImagePullFailed'],
  ] as const) {
    it(`finds the error within the stream: ${code}`, async () => {
      const stream = lines({ status: 'Pulling' }, failure);
      await assert.rejects(followPull('busybox:1', stream, ignore), codeIs(code));
    });
  }

  it('refuses what is no progress', async () => {
    const page = Readable.from([Buffer.from('<html>\n')]);
    await assert.rejects(followPull('busybox:1', page, ignore), codeIs('ImagePullFailed'));
    const endless = Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(65_536, 'x')));
    await assert.rejects(followPull('busybox:1', endless, ignore), codeIs('ImagePullFailed'));
  });
});

describe('ImagePulls', () => {
  it('counts its waiters: the pull ends with the last', async () => {
    const client = new PullingClient();
    const pulls = new ImagePulls(client.asClient, undefined);
    const [a, b] = [new AbortController(), new AbortController()];
    const first = pulls.pull(IMAGE, a.signal, ignore);
    const second = pulls.pull(IMAGE, b.signal, ignore);
    await new Promise(setImmediate);
    assert.equal(client.streams.length, 1);
    a.abort('a leaves');
    await assert.rejects(first, (reason) => reason === 'a leaves');
    assert.equal(client.aborted, 0);
    b.abort('b leaves');
    await assert.rejects(second, (reason) => reason === 'b leaves');
    assert.equal(client.aborted, 1);
    // Who comes now must not join the pull that was given up.
    const third = pulls.pull(IMAGE, new AbortController().signal, ignore);
    await new Promise(setImmediate);
    assert.equal(client.streams.length, 2);
    client.streams[1]?.end();
    await third;
  });

  it('tells all waiters the same error, and tries again for the next', async () => {
    const client = new PullingClient();
    const pulls = new ImagePulls(client.asClient, undefined);
    const { signal } = new AbortController();
    const both = [pulls.pull(IMAGE, signal, ignore), pulls.pull(IMAGE, signal, ignore)];
    await new Promise(setImmediate);
    client.streams[0]?.end('{"errorDetail":{"message":"manifest unknown"}}\n');
    for (const pull of both) await assert.rejects(pull, codeIs('ImageNotFound'));
    const next = pulls.pull(IMAGE, signal, ignore);
    await new Promise(setImmediate);
    client.streams[1]?.end();
    await next;
  });

  it('believes in the image only when it is there', async () => {
    const client = new PullingClient();
    client.present = false;
    const pull = new ImagePulls(client.asClient, undefined).pull(IMAGE, new AbortController().signal, ignore);
    await new Promise(setImmediate);
    client.streams[0]?.end('{"status":"Downloaded"}\n');
    await assert.rejects(pull, codeIs('ImagePullFailed'));
  });

  it('gives up a pull that says nothing, not one that goes on', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const client = new PullingClient();
    const pull = new ImagePulls(client.asClient, undefined).pull(IMAGE, new AbortController().signal, ignore);
    const failure = assert.rejects(pull, codeIs('ImagePullFailed'));
    await new Promise(setImmediate);
    t.mock.timers.tick(119_000);
    assert.equal(client.aborted, 0);
    t.mock.timers.tick(2000);
    await failure;
    assert.equal(client.aborted, 1);
  });

  it('shows the Docker Hub account to Docker Hub alone', async () => {
    const account = { username: 'u', password: 'p', serveraddress: 's' };
    const client = new PullingClient();
    const pulls = new ImagePulls(client.asClient, account);
    const { signal } = new AbortController();
    const both = ['busybox', 'registry.example.org/busybox'].map((image) =>
      pulls.pull(parseImageReference(image), signal, ignore),
    );
    await new Promise(setImmediate);
    for (const stream of client.streams) stream.end();
    await Promise.all(both);
    assert.deepEqual(client.accounts, [account, undefined]);
  });
});
