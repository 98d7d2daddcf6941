import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, describe, it, type TestContext } from 'node:test';
import { DockerEngine } from '../../../src/engines/docker/engine.ts';
import { pingDocker, reapContainers } from '../../../src/engines/docker/health.ts';
import { containerLabels, containerName, NODE_LABEL } from '../../../src/engines/docker/labels.ts';
import type { RunRequest } from '../../../src/engines/engine.ts';
import { codeIs } from '../../contract/engine.ts';
import {
  containersOf,
  dockerEngine,
  reapTestNode,
  TEST_NODE,
  type TestDocker,
  testDocker,
} from '../../support/docker.ts';
import { type RecordingContext, recordingContext, runRequest } from '../../support/run-request.ts';

const KILL = { kind: 'kill', why: 'cancelled', cause: 'enough' } as const;

async function request(
  t: TestContext,
  test: TestDocker,
  params: Record<string, unknown>,
): Promise<RunRequest> {
  return await runRequest(t, { engine: 'docker', params: { Image: test.image, ...params } });
}

/** A context that stops the run at its first report of a kind. */
function stoppingAt(
  kind: 'running' | 'output',
  stop: Parameters<RecordingContext['stop']>[0],
): RecordingContext {
  const context = recordingContext();
  const { report } = context;
  context.report = (news) => {
    report(news);
    if (news.kind === kind) context.stop(stop);
  };
  return context;
}

describe('ends of a container', { concurrency: 2 }, () => {
  after(reapTestNode);
  const test = (title: string, body: (t: TestContext, test: TestDocker) => Promise<void>): void => {
    it(title, async (t) => {
      const docker = testDocker(t);
      if (docker !== undefined) await body(t, docker);
    });
  };

  for (const [command, why] of [
    ['no-such-command', 'executable file not found'],
    ['/no/such/file', 'no such file or directory'],
    ['/etc/passwd', 'permission denied'],
  ] as const) {
    test(`a command that cannot run: ${command}`, async (t, docker) => {
      const job = await request(t, docker, { Entrypoint: [command] });
      await assert.rejects(dockerEngine(t, docker).run(job, recordingContext()), (error) => {
        assert.ok(codeIs('CommandNotFound')(error));
        assert.ok((error as Error).message.includes(`"${command}"`), (error as Error).message);
        assert.ok((error as Error).message.includes(why), (error as Error).message);
        return true;
      });
      assert.deepEqual(await containersOf(docker, job), []);
    });
  }

  test('a detached run leaves the container running; the next start removes it', async (t, docker) => {
    const nodeId = `${TEST_NODE}-detached`;
    const job = await request(t, docker, { Entrypoint: ['sleep', '3600'] });
    const run = dockerEngine(t, docker, { nodeId }).run(job, stoppingAt('running', { kind: 'detach' }));
    await assert.rejects(run, codeIs('ExecutionLost'));
    const [id = ''] = await containersOf(docker, job);
    const { State: state, Name: name, Config: config } = await docker.docker.getContainer(id).inspect();
    assert.ok(state.Running);
    assert.equal(name, `/${containerName(nodeId, job.header)}`);
    for (const [label, value] of Object.entries(containerLabels(nodeId, job.header))) {
      assert.equal(config.Labels[label], value);
    }
    const { dockerHost } = docker;
    assert.equal(await reapContainers({ dockerHost }, 'another-node'), 0);
    assert.deepEqual(await containersOf(docker, job), [id]);
    assert.equal(await reapContainers({ dockerHost }, nodeId), 1);
    assert.deepEqual(await containersOf(docker, job), []);
    assert.equal(await reapContainers({ dockerHost }, nodeId), 0);
  });

  test('a container that an earlier run of the execution left behind is replaced', async (t, docker) => {
    const job = await request(t, docker, { Entrypoint: ['echo', 'again'] });
    const left = await docker.docker.createContainer({
      name: containerName(TEST_NODE, job.header),
      Image: docker.image,
      Cmd: ['sleep', '3600'],
      Labels: containerLabels(TEST_NODE, job.header),
      HostConfig: { NetworkMode: 'none' },
    });
    await left.start();
    assert.equal((await dockerEngine(t, docker).run(job, recordingContext())).Stdout, 'again\n');
    assert.deepEqual(await containersOf(docker, job), []);
  });

  test('a job that ignores SIGTERM is killed after its grace', async (t, docker) => {
    const job = await request(t, docker, {
      Entrypoint: ['sh', '-c', "trap '' TERM; echo armed; while true; do sleep 1; done"],
    });
    const startedAt = Date.now();
    await assert.rejects(
      dockerEngine(t, docker).run(job, stoppingAt('output', KILL)),
      codeIs('ExecutionCancelled'),
    );
    assert.ok(Date.now() - startedAt < 15_000);
    assert.deepEqual(await containersOf(docker, job), []);
  });

  test('stopped at any moment, nothing is left and the run settles', async (t, docker) => {
    const engine = dockerEngine(t, docker);
    const jobs = await Promise.all(
      Array.from({ length: 12 }, () => request(t, docker, { Entrypoint: ['sleep', '3600'] })),
    );
    await Promise.all(
      jobs.map(async (job, index) => {
        const context = recordingContext();
        const run = engine.run(job, context);
        // Spread over the time a container takes to start, so that every step is hit by some.
        setTimeout(() => context.stop(KILL), index * 60);
        await assert.rejects(run, codeIs('ExecutionCancelled'));
        assert.deepEqual(await containersOf(docker, job), []);
      }),
    );
  });

  test('a container that somebody else removes is a lost execution, or one that was killed', async (t, docker) => {
    const job = await request(t, docker, { Entrypoint: ['sleep', '3600'] });
    const context = recordingContext();
    const run = dockerEngine(t, docker).run(job, context);
    await context.seen('running');
    const [id = ''] = await containersOf(docker, job);
    await docker.docker.getContainer(id).remove({ force: true });
    const end = await run.then(
      (result) => `exit ${result.ExitCode}`,
      (error: { code: string }) => error.code,
    );
    assert.match(end, /^(exit 137|ExecutionLost|EngineFailed)$/);
  });

  test('ping tells version and platform', async (_t, docker) => {
    const info = await pingDocker({ dockerHost: docker.dockerHost });
    assert.match(info.version, /^\d+\.\d+/);
    assert.equal(info.os, 'linux');
    assert.match(info.arch, /^[a-z0-9]+$/);
  });

  test('volumes of the image go with the container', async (t, docker) => {
    const base = await docker.docker.createContainer({ Image: docker.image, Cmd: ['true'] });
    const tag = `volume-${TEST_NODE}`;
    await base.commit({ repo: tag, tag: '1', changes: 'VOLUME /data' });
    await base.remove();
    t.after(() => docker.docker.getImage(`${tag}:1`).remove({ force: true }));
    const before = (await docker.docker.listVolumes()).Volumes?.length ?? 0;
    const job = await request(t, docker, { Image: `${tag}:1`, Entrypoint: ['touch', '/data/x'] });
    assert.equal((await dockerEngine(t, docker).run(job, recordingContext())).ExitCode, 0);
    assert.equal((await docker.docker.listVolumes()).Volumes?.length ?? 0, before);
  });
});

describe('without a Docker Engine', () => {
  it('a run and a ping say that it is unavailable', async (t) => {
    const dockerHost = 'unix:///nonexistent/docker.sock';
    await assert.rejects(pingDocker({ dockerHost }), codeIs('EngineUnavailable'));
    const options = { acceptNetworked: false, allowHostNetwork: false, createsAtOnce: 1 };
    const account = { dockerUsername: '', dockerPassword: '' };
    const engine = new DockerEngine(
      { nodeId: 'n', dockerHost, ...options, ...account },
      { log: () => undefined },
    );
    const job = await runRequest(t, { engine: 'docker', params: { Image: 'busybox' } });
    await assert.rejects(engine.run(job, recordingContext()), codeIs('EngineUnavailable'));
  });

  it('one that accepts and says nothing is given up', async (t) => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      silent.closeAllConnections();
      silent.close();
    });
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    const dockerHost = `tcp://127.0.0.1:${address.port}`;
    await assert.rejects(pingDocker({ dockerHost, timeoutMs: 50 }), (error) => {
      assert.ok(codeIs('EngineUnavailable')(error));
      assert.match((error as Error).message, /50 ms/);
      return true;
    });
    await assert.rejects(
      reapContainers({ dockerHost, timeoutMs: 50 }, NODE_LABEL),
      codeIs('EngineUnavailable'),
    );
  });
});
