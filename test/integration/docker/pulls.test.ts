import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { RunCommandResult } from '../../../src/core/job.ts';
import type { DockerEngine } from '../../../src/engines/docker/engine.ts';
import { codeIs } from '../../contract/engine.ts';
import { containersOf, dockerEngine, type TestDocker, testDocker } from '../../support/docker.ts';
import { pushFreshImage, type RegistryProxy, registryProxy } from '../../support/registry-proxy.ts';
import { type RecordingContext, recordingContext, runRequest } from '../../support/run-request.ts';
import { waitUntil } from '../../support/services/service.ts';

interface Scene {
  readonly test: TestDocker;
  readonly engine: DockerEngine;
  readonly proxy: RegistryProxy;
  /** Name of an image that is in the registry behind the proxy, and not on this machine. */
  readonly image: string;
}

interface Job {
  readonly context: RecordingContext;
  readonly result: Promise<RunCommandResult>;
}

async function scene(t: TestContext, bytes = 200_000): Promise<Scene | undefined> {
  const test = testDocker(t);
  if (test === undefined) return undefined;
  if (test.registry === undefined) {
    console.log('SKIPPED: pulls: BACALHAU_TEST_REGISTRY is not set');
    t.skip('no registry for tests: BACALHAU_TEST_REGISTRY is not set');
    return undefined;
  }
  const proxy = await registryProxy(t, test.registry);
  const name = await pushFreshImage(test.docker, test.registry, test.image, bytes);
  const image = `${proxy.address}/${name}`;
  t.after(() =>
    test.docker
      .getImage(image)
      .remove({ force: true })
      .catch(() => undefined),
  );
  return { test, engine: dockerEngine(t, test), proxy, image };
}

async function start(t: TestContext, { engine, test }: Scene, image: string): Promise<Job> {
  const params = { Image: image, Parameters: ['sh', '-c', 'echo pulled'] };
  const request = await runRequest(t, { engine: 'docker', params });
  const context = recordingContext();
  const result = engine.run(request, context);
  result.catch(() => undefined);
  t.after(async () => {
    await result.catch(() => undefined);
    assert.deepEqual(await containersOf(test, request), [], 'no container is left');
  });
  return { context, result };
}

const KILL = { kind: 'kill', why: 'cancelled', cause: 'enough' } as const;

describe('pulls from a registry', { concurrency: 2 }, () => {
  it('jobs that want the same image share one pull and its progress', async (t) => {
    const s = await scene(t);
    if (s === undefined) return;
    s.proxy.hold();
    const jobs = await Promise.all(Array.from({ length: 5 }, () => start(t, s, s.image)));
    await s.proxy.layerAsked();
    s.proxy.release();
    for (const { result } of jobs) assert.equal((await result).Stdout, 'pulled\n');
    const asked = (pattern: RegExp): number => s.proxy.requests.filter((line) => pattern.test(line)).length;
    const layers = new Set(s.proxy.requests.filter((line) => line.includes('/blobs/')));
    assert.equal(asked(/GET .*\/blobs\//), layers.size, 'each layer was fetched once');
    assert.ok(asked(/GET .*\/manifests\//) <= 2, s.proxy.requests.join('\n'));
    for (const { context } of jobs) {
      const pulling = context.reports.filter((report) => report.kind === 'pulling');
      assert.ok(pulling.length > 0, 'progress was told');
      assert.equal(pulling.at(-1)?.image, s.image);
      assert.ok((pulling.at(-1)?.doneBytes ?? 0) > 200_000);
    }
  });

  it('an image that is here is not asked for', async (t) => {
    const s = await scene(t);
    if (s === undefined) return;
    await (await start(t, s, s.image)).result;
    const before = s.proxy.requests.length;
    assert.equal((await (await start(t, s, s.image)).result).Stdout, 'pulled\n');
    assert.equal(s.proxy.requests.length, before);
  });

  it('one of two waiters leaves: the other gets the image', async (t) => {
    const s = await scene(t);
    if (s === undefined) return;
    s.proxy.hold();
    const [leaver, stayer] = [await start(t, s, s.image), await start(t, s, s.image)];
    await s.proxy.layerAsked();
    leaver.context.stop(KILL);
    await assert.rejects(leaver.result, codeIs('ExecutionCancelled'));
    s.proxy.release();
    assert.equal((await stayer.result).Stdout, 'pulled\n');
  });

  it('the last waiter leaves: the pull ends, and a later job pulls anew', async (t) => {
    // More than the sockets' buffers hold: what dockerd does not want any more cannot all be sent.
    const s = await scene(t, 32_000_000);
    if (s === undefined) return;
    s.proxy.hold();
    const job = await start(t, s, s.image);
    await s.proxy.layerAsked();
    job.context.stop({ kind: 'kill', why: 'timeout', cause: 'took too long' });
    await assert.rejects(job.result, codeIs('ExecutionTimedOut'));
    // Docker 20.10 looks at a cancelled download only when its next bytes come.
    s.proxy.release();
    await waitUntil(() => s.proxy.abandoned > 0, {
      what: 'the end of the download',
      timeoutMs: 20_000,
    });
    assert.equal((await (await start(t, s, s.image)).result).Stdout, 'pulled\n');
  });

  it('an error within the stream is recognised', async (t) => {
    const s = await scene(t);
    if (s === undefined) return;
    s.proxy.failLayers(404);
    const job = await start(t, s, s.image);
    await assert.rejects(job.result, (error: { code?: string; message?: string }) => {
      assert.match(String(error.code), /^Image(NotFound|PullFailed)$/);
      assert.match(String(error.message), new RegExp(s.image.replaceAll('.', '\\.')));
      return true;
    });
  });

  it('a missing image, a missing tag, a registry that is not there', async (t) => {
    const s = await scene(t);
    if (s === undefined) return;
    const missing = await start(t, s, `${s.proxy.address}/no-such-image:1`);
    await assert.rejects(missing.result, codeIs('ImageNotFound'));
    const tag = await start(t, s, s.image.replace(/:1$/, ':2'));
    await assert.rejects(tag.result, codeIs('ImageNotFound'));
    const nowhere = await start(t, s, '127.0.0.1:1/busybox:1');
    await assert.rejects(nowhere.result, codeIs('ImagePullFailed'));
  });
});
