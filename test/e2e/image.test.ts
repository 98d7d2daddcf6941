import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import { finished, importBaseImage } from '../support/base-image.ts';
import { testDocker } from '../support/docker.ts';
import { helloModule, wasmJob } from '../support/jobs.ts';
import { waitUntil } from '../support/node.ts';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const IMAGE = 'bacalhau-node:test';
const VOLUME = `bacalhau-image-test-${process.pid}`;
const NANOSECONDS = 1_000_000;

describe('the image', () => {
  const found = testDocker();
  const containers: Docker.Container[] = [];
  let skip: string | undefined = found === undefined ? 'no Docker Engine for tests' : undefined;

  before(async () => {
    if (found === undefined) return;
    const base = await importBaseImage(found.docker);
    if (typeof base !== 'string') {
      skip = base.skip;
      console.warn(`SKIPPED: the image: ${skip}`);
      return;
    }
    const options = { t: IMAGE, buildargs: { BASE: base }, networkmode: 'host', rm: true, forcerm: true };
    await finished(found.docker, await found.docker.buildImage(await buildContext(), options));
  });
  after(async () => {
    for (const container of containers) await container.remove({ force: true, v: true }).catch(() => {});
    await found?.docker
      .getVolume(VOLUME)
      .remove()
      .catch(() => {});
  });

  /** `docker run -p 127.0.0.1::1234 -v VOLUME:/data`, and the address it is published at. */
  const start = async (docker: Docker): Promise<{ container: Docker.Container; url: string }> => {
    const container = await docker.createContainer({
      Image: IMAGE,
      Healthcheck: { Interval: 1000 * NANOSECONDS, Timeout: 10_000 * NANOSECONDS, StartPeriod: 0 },
      HostConfig: {
        Binds: [`${VOLUME}:/data`],
        PortBindings: { '1234/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
      },
    });
    containers.push(container);
    await container.start();
    const { NetworkSettings: network } = await container.inspect();
    const port = network.Ports['1234/tcp']?.[0]?.HostPort ?? '';
    return { container, url: `http://127.0.0.1:${port}` };
  };
  const logs = async (container: Docker.Container): Promise<string> =>
    (await container.logs({ stdout: true, stderr: true })).toString();
  const ready = async (container: Docker.Container, url: string): Promise<void> => {
    const answers = async (): Promise<boolean> => {
      const { State: state } = await container.inspect();
      if (!state.Running) throw new Error(`the container ended:\n${await logs(container)}`);
      const reply = await fetch(`${url}/api/v1/agent/alive`).catch(() => undefined);
      return reply?.status === 200;
    };
    await waitUntil(answers, 'the published port answers', 30_000, 100);
  };

  it('runs jobs for who reaches its published port, keeps its data in a volume, and says how it is', async (t) => {
    if (found === undefined || skip !== undefined) {
      t.skip(skip);
      return;
    }
    const { docker } = found;
    const first = await start(docker);
    await ready(first.container, first.url);

    const output = await logs(first.container);
    assert.match(output, /Server +uWebSockets\.js\r?\n/);
    assert.equal((await exec(first.container, ['id', '-u'])).trim(), '10001');
    assert.match(await exec(first.container, ['sh', '-c', 'touch /opt/bacalhau/x 2>&1; ls /']), /denied/);
    // Nothing of the tools it was built with.
    const kept = await exec(first.container, [
      'sh',
      '-c',
      'cd /opt/bacalhau && ls node_modules && ls -d src test',
    ]);
    assert.doesNotMatch(kept, /^typescript$|^src$/m);
    assert.doesNotMatch(kept, /\bnode-linux-/);

    const job = wasmJob(await helloModule());
    const submitted = await fetch(`${first.url}/api/v1/orchestrator/jobs`, {
      method: 'PUT',
      body: JSON.stringify({ Job: job }),
      headers: { 'content-type': 'application/json' },
    });
    const { JobID: id } = (await submitted.json()) as { JobID: string };
    assert.equal(submitted.status, 200);
    const state = async (url: string): Promise<string> => {
      const reply = await fetch(`${url}/api/v1/orchestrator/jobs/${id}`);
      const { Job: seen } = (await reply.json()) as { Job: { State: { StateType: string } } };
      return seen.State.StateType;
    };
    await waitUntil(async () => (await state(first.url)) === 'Completed', 'the job completes', 20_000, 50);

    const health = async (): Promise<string | undefined> =>
      (await first.container.inspect()).State.Health?.Status;
    await waitUntil(async () => (await health()) === 'healthy', 'the container is healthy', 30_000, 200);

    await first.container.stop({ t: 20 });
    const { State: ended } = await first.container.inspect();
    assert.equal(ended.ExitCode, 0, await logs(first.container));
    await first.container.remove({ v: false });

    const second = await start(docker);
    await ready(second.container, second.url);
    assert.equal(await state(second.url), 'Completed');
    const nodeOf = (text: string): string | undefined => /Node +(\S+)/.exec(text)?.[1];
    assert.equal(nodeOf(await logs(second.container)), nodeOf(output));
  });
});

/** What `docker build .` sends: .dockerignore leaves everything out but the names it lists. */
async function buildContext(): Promise<NodeJS.ReadableStream> {
  const lines = (await readFile(join(REPOSITORY, '.dockerignore'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  assert.equal(lines[0], '*');
  const names = lines.slice(1).map((line) => {
    assert.match(line, /^![\w.-]+$/);
    return line.slice(1);
  });
  return spawn('tar', ['--create', '-C', REPOSITORY, ...names], { stdio: ['ignore', 'pipe', 'ignore'] })
    .stdout;
}

/** Output of a command in a running container. */
async function exec(container: Docker.Container, command: string[]): Promise<string> {
  const process_ = await container.exec({ Cmd: command, AttachStdout: true, AttachStderr: true, Tty: true });
  const stream = await process_.start({ Tty: true });
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}
