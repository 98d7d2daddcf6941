import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DockerClient } from '../../../../src/engines/docker/client.ts';
import type { ContainerBody } from '../../../../src/engines/docker/container-spec.ts';
import { isNameTaken } from '../../../../src/engines/docker/errors.ts';
import { pingDocker } from '../../../../src/engines/docker/health.ts';
import { parseImageReference } from '../../../../src/engines/docker/image-reference.ts';
import { hubAccount } from '../../../../src/engines/docker/registry-account.ts';
import { codeIs } from '../../../contract/engine.ts';
import { fakeDocker, json } from '../../../support/fake-docker.ts';

describe('DockerClient', () => {
  it('keeps what a job says out of the URL', async (t) => {
    const server = await fakeDocker(t, (_seen, response) => json(response, 201, { Id: 'c1' }));
    const client = new DockerClient({ kind: 'tcp', ...server });
    const body = { Image: 'a:1', Env: ['TOKEN=secret'] } as unknown as ContainerBody;
    assert.equal(await client.create('name', body), 'c1');
    assert.deepEqual(server.seen, [
      { method: 'POST', url: '/containers/create?name=name', body: JSON.stringify(body) },
    ]);
  });

  it('passes on what Docker says to a create', async (t) => {
    const message = 'Conflict. The container name "/n" is already in use by container "x".';
    const server = await fakeDocker(t, (_seen, response) => json(response, 409, { message }));
    const client = new DockerClient({ kind: 'tcp', ...server });
    await assert.rejects(client.create('n', {} as unknown as ContainerBody), isNameTaken);
  });

  it('passes on what Docker says in place of a stream', async (t) => {
    let said: object = { message: 'No such container: c1' };
    const server = await fakeDocker(t, (_seen, response) => json(response, 404, said));
    const client = new DockerClient({ kind: 'tcp', ...server });
    await assert.rejects(client.attach('c1'), { name: 'DockerRefusal', message: 'No such container: c1' });
    said = {};
    await assert.rejects(client.watchExit('c1'), { name: 'DockerRefusal', status: 404 });
  });

  it('reaches an IPv6 address', async (t) => {
    const server = await fakeDocker(t, (_seen, response) => json(response, 404, {}), '::1');
    const client = new DockerClient({ kind: 'tcp', ...server });
    assert.equal(await client.inspect('c1'), undefined);
  });

  it('never pulls every tag', async (t) => {
    const server = await fakeDocker(t, (_seen, response) => response.writeHead(200).end());
    const client = new DockerClient({ kind: 'tcp', ...server });
    const { signal } = new AbortController();
    (await client.pull(parseImageReference('ubuntu'), undefined, signal)).resume();
    assert.equal(server.seen[0]?.url, '/images/create?fromImage=ubuntu&tag=latest');
  });

  it('names the account as Docker decodes it: URL-safe and padded', async (t) => {
    let header: string | string[] | undefined;
    const server = await fakeDocker(t, (_seen, response) => {
      header = response.req.headers['x-registry-auth'];
      response.writeHead(200).end();
    });
    const client = new DockerClient({ kind: 'tcp', ...server });
    const { signal } = new AbortController();
    for (const password of ['?>?>', 'a', 'ab', 'abc']) {
      const account = hubAccount('me', password);
      (await client.pull(parseImageReference('ubuntu'), account, signal)).resume();
      assert.match(String(header), /^(?:[\w-]{4})*(?:[\w-]{2}==|[\w-]{3}=)?$/);
      assert.deepEqual(JSON.parse(Buffer.from(String(header), 'base64url').toString()), account);
    }
  });

  it('ends the request of a pull that is given up', async (t) => {
    const closed = Promise.withResolvers<void>();
    const server = await fakeDocker(t, (_seen, response) => {
      response.on('close', () => closed.resolve());
      response.writeHead(200).write('{"status":"Pulling"}\n');
    });
    const client = new DockerClient({ kind: 'tcp', ...server });
    const stop = new AbortController();
    const stream = await client.pull(parseImageReference('ubuntu'), undefined, stop.signal);
    const failed = new Promise((resolve) => stream.on('error', resolve));
    stream.resume();
    stop.abort();
    await Promise.all([closed.promise, failed]);
  });

  it('gives up a call that is not answered, and one whose answer does not end', async (t) => {
    const server = await fakeDocker(t, (seen, response) => {
      if (seen.url.includes('/half/')) response.writeHead(200).write('{"State":');
    });
    const client = new DockerClient({ kind: 'tcp', ...server });
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const id of ['silent', 'half']) {
      const before = server.seen.length;
      const inspected = assert.rejects(client.inspect(id), (error) => {
        assert.ok(codeIs('EngineUnavailable')(error));
        assert.match((error as Error).message, /inspect the container/);
        return true;
      });
      while (server.seen.length === before) await new Promise(setImmediate);
      t.mock.timers.tick(20_000);
      await inspected;
    }
  });

  it('repeats a call that met a kept connection which Docker had closed, and no other', async (t) => {
    let closes = false;
    const server = await fakeDocker(t, (_seen, response) => {
      if (closes) response.destroy();
      else json(response, 201, { Id: 'c1' });
      closes = false;
    });
    const body = {} as unknown as ContainerBody;
    const client = new DockerClient({ kind: 'tcp', ...server });
    await client.create('first', body);
    closes = true;
    await client.create('second', body);
    assert.deepEqual(
      server.seen.map(({ url }) => url.split('=')[1]),
      ['first', 'second', 'second'],
    );
    closes = true;
    const fresh = new DockerClient({ kind: 'tcp', ...server });
    await assert.rejects(fresh.create('third', body), codeIs('EngineUnavailable'));
    assert.equal(server.seen.length, 4);
  });

  it('tries a removal again, and takes a container that is gone for removed', async (t) => {
    let asked = 0;
    const server = await fakeDocker(t, (_seen, response) => {
      asked += 1;
      if (asked === 1) json(response, 500, { message: 'device or resource busy' });
      else json(response, 404, { message: 'No such container' });
    });
    const client = new DockerClient({ kind: 'tcp', ...server });
    await client.remove('c1');
    assert.equal(asked, 2);
    assert.equal(server.seen[0]?.url, '/containers/c1?force=true&v=true');
  });

  it('a wait whose connection ends without an exit code is an error', async (t) => {
    const server = await fakeDocker(t, (_seen, response) => {
      response.writeHead(200).flushHeaders();
      setImmediate(() => response.destroy());
    });
    const client = new DockerClient({ kind: 'tcp', ...server });
    const exit = await client.watchExit('c1');
    await assert.rejects(exit.code, codeIs('EngineUnavailable'));
  });
});

describe('pingDocker', () => {
  it('refuses what is no Docker Engine, or one that is too old', async (t) => {
    const version = { Version: '18.09', ApiVersion: '1.39', Os: 'linux', Arch: 'amd64' };
    for (const [answer, why] of [
      [{ hello: 'world' }, /no Docker Engine/],
      [null, /no Docker Engine/],
      [version, /expected 1\.41/],
    ] as const) {
      const server = await fakeDocker(t, (_seen, response) => json(response, 200, answer));
      const dockerHost = `tcp://127.0.0.1:${server.port}`;
      await assert.rejects(pingDocker({ dockerHost }), (error) => {
        assert.ok(codeIs('EngineUnavailable')(error));
        assert.match((error as Error).message, why);
        return true;
      });
    }
    const modern = await fakeDocker(t, (_seen, response) =>
      json(response, 200, { ...version, Version: '28.2.2', ApiVersion: '1.50' }),
    );
    assert.deepEqual(await pingDocker({ dockerHost: `tcp://127.0.0.1:${modern.port}` }), {
      version: '28.2.2',
      apiVersion: '1.50',
      os: 'linux',
      arch: 'amd64',
    });
  });
});
