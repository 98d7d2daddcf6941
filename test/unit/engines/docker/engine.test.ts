import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { it } from 'node:test';
import { DockerEngine } from '../../../../src/engines/docker/engine.ts';
import { fakeDocker, json } from '../../../support/fake-docker.ts';
import { recordingContext, runRequest } from '../../../support/run-request.ts';

it('does without files of its own where Docker does not see them', async (t) => {
  const open: ServerResponse[] = [];
  const bodies: { NetworkDisabled?: true; HostConfig: { Mounts: { Source: string }[] } }[] = [];
  const server = await fakeDocker(t, ({ method, url, body }, response) => {
    const path = url.split('?')[0] ?? '';
    if (path.endsWith('/create')) {
      const container = JSON.parse(body) as (typeof bodies)[number];
      bodies.push(container);
      const [mount] = container.HostConfig.Mounts;
      const message = `invalid mount config for type "bind": bind source path does not exist: ${mount?.Source}`;
      if (mount === undefined) json(response, 201, { Id: 'c1' });
      else json(response, 400, { message });
    } else if (/\/(?:wait|attach)$/.test(path)) {
      response.writeHead(200).flushHeaders();
      open.push(response);
    } else if (path.endsWith('/start')) {
      response.writeHead(204).end();
      for (const waiting of open.splice(0)) {
        waiting.end(waiting.req.url?.includes('/wait') === true ? '{"StatusCode":0}' : undefined);
      }
    } else if (method === 'DELETE') response.writeHead(204).end();
    else json(response, 200, { State: { Running: false, ExitCode: 0, OOMKilled: false } });
  });
  const engine = new DockerEngine(
    {
      nodeId: 'node',
      dockerHost: `tcp://127.0.0.1:${server.port}`,
      acceptNetworked: false,
      allowHostNetwork: false,
      createsAtOnce: 1,
      dockerUsername: '',
      dockerPassword: '',
    },
    { log: (level, text) => t.diagnostic(`${level}: ${text}`) },
  );
  for (const attempts of [2, 3]) {
    const request = await runRequest(t, { engine: 'docker', params: { Image: 'a' } });
    assert.equal((await engine.run(request, recordingContext())).ExitCode, 0);
    assert.equal(bodies.length, attempts, 'it is tried once');
    assert.ok(!('NetworkDisabled' in (bodies.at(-1) ?? {})));
    if (attempts === 2) {
      assert.equal(bodies[0]?.HostConfig.Mounts[0]?.Source, join(request.placement.directory, 'hosts'));
    }
  }
});
