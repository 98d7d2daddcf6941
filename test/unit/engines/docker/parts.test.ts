import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { parseDockerHost } from '../../../../src/engines/docker/endpoint.ts';
import {
  DockerRefusal,
  isImageMissing,
  isNameTaken,
  mayHaveArrived,
  toCreateError,
  toPullError,
  toStartError,
} from '../../../../src/engines/docker/errors.ts';
import { networkOf, writeHosts } from '../../../../src/engines/docker/network.ts';
import { RunOutput } from '../../../../src/engines/docker/output.ts';
import { checkResultSize, measureDirectories } from '../../../../src/engines/docker/result-size.ts';
import { Semaphore } from '../../../../src/engines/docker/semaphore.ts';
import { codeIs } from '../../../contract/engine.ts';
import { runRequest } from '../../../support/run-request.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'bacalhau-parts-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

function frame(type: number, payload: string | Uint8Array): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(8);
  header[0] = type;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

const answer = (status: number, message: string): unknown => new DockerRefusal(status, { message });

describe('parseDockerHost', () => {
  it('reads sockets and addresses', () => {
    assert.deepEqual(parseDockerHost(''), { kind: 'socket', path: '/var/run/docker.sock' });
    assert.deepEqual(parseDockerHost('/x.sock'), { kind: 'socket', path: '/x.sock' });
    assert.deepEqual(parseDockerHost('unix:///x.sock'), { kind: 'socket', path: '/x.sock' });
    assert.deepEqual(parseDockerHost('tcp://h:80'), { kind: 'tcp', host: 'h', port: 80 });
    assert.deepEqual(parseDockerHost('tcp://[::1]:99/'), { kind: 'tcp', host: '::1', port: 99 });
    assert.deepEqual(parseDockerHost('http://h'), { kind: 'tcp', host: 'h', port: 2375 });
  });

  it('refuses what it cannot speak', () => {
    for (const text of ['ssh://h', 'https://h:2376', 'h:2375', 'npipe:////x']) {
      assert.throws(() => parseDockerHost(text), codeIs('ConfigInvalid'));
    }
  });
});

describe('errors of Docker', () => {
  it('start: which command, and why', () => {
    const runc =
      'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ';
    for (const [text, command] of [
      ['exec: "nope": executable file not found in $PATH: unknown', 'nope'],
      ['exec: "/a b": stat /a b: no such file or directory: unknown', '/a b'],
      ['exec: "/etc/passwd": permission denied: unknown', '/etc/passwd'],
    ] as const) {
      const error = toStartError(answer(400, runc + text), 'img');
      assert.equal(error.code, 'CommandNotFound');
      assert.ok(error.message.includes(JSON.stringify(command)), error.message);
    }
    assert.equal(toStartError(answer(500, `${runc}mount failed`), 'img').code, 'EngineFailed');
    assert.equal(toStartError(new Error('socket hang up'), 'img').code, 'EngineUnavailable');
  });

  it('create', () => {
    assert.ok(isImageMissing(answer(404, 'No such image: a:1')));
    assert.ok(!isImageMissing(answer(404, 'No such network')));
    assert.ok(
      isNameTaken(answer(409, 'Conflict. The container name "/x" is already in use by container "1"')),
    );
    assert.equal(toCreateError(answer(400, 'No command specified'), 'i').code, 'CommandNotFound');
    assert.equal(toCreateError(answer(400, 'invalid mount config'), 'i').code, 'ValidationFailed');
    assert.equal(toCreateError(answer(500, 'no space left'), 'i').code, 'EngineFailed');
  });

  it('pull: not found or failed', () => {
    for (const reason of [
      'manifest for a:1 not found: manifest unknown: manifest unknown',
      "pull access denied for a, repository does not exist or may require 'docker login'",
      'unauthorized: authentication required',
      'no matching manifest for linux/arm64/v8 in the manifest list entries',
    ]) {
      assert.equal(toPullError('a:1', reason).code, 'ImageNotFound', reason);
    }
    for (const reason of [
      'dial tcp: lookup r: no such host',
      'received unexpected HTTP status: 500',
      'EOF',
    ]) {
      assert.equal(toPullError('a:1', reason, 500).code, 'ImagePullFailed', reason);
    }
  });

  it('tells whether a call without an answer may have arrived', () => {
    assert.equal(mayHaveArrived(Object.assign(new Error(), { code: 'ECONNREFUSED' })), false);
    assert.equal(mayHaveArrived(Object.assign(new Error(), { code: 'ECONNRESET' })), true);
    assert.equal(mayHaveArrived(new Error('deadline')), true);
    assert.equal(mayHaveArrived(answer(500, 'x')), false);
  });
});

describe('networkOf', () => {
  const none = { acceptNetworked: false, allowHostNetwork: false };
  const some = { acceptNetworked: true, allowHostNetwork: false };
  const all = { acceptNetworked: true, allowHostNetwork: true };

  it('follows the policy', () => {
    assert.equal(networkOf({ Type: 'None' }, all), 'none');
    assert.equal(networkOf({ Type: 'Default' }, none), 'none');
    assert.equal(networkOf({ Type: 'Default' }, some), 'bridge');
    assert.equal(networkOf({ Type: 'Full' }, some), 'bridge');
    assert.equal(networkOf({ Type: 'Bridge' }, some), 'bridge');
    assert.equal(networkOf({ Type: 'Host' }, all), 'host');
  });

  it('refuses the rest', () => {
    for (const [Type, policy] of [
      ['Full', none],
      ['Bridge', none],
      ['Host', some],
      ['Host', { acceptNetworked: false, allowHostNetwork: true }],
      ['HTTP', all],
    ] as const) {
      assert.throws(() => networkOf({ Type }, policy), codeIs('ValidationFailed'), Type);
    }
    const Ports = [{ Name: 'http', Target: 80 }];
    assert.throws(() => networkOf({ Type: 'Bridge', Ports }, all), codeIs('ValidationFailed'));
  });
});

it('any user of an image may read the hosts file, whatever the umask', async (t) => {
  const request = await runRequest(t, { engine: 'docker' });
  const before = process.umask(0o077);
  const path = await writeHosts(request).finally(() => process.umask(before));
  assert.equal((await stat(path)).mode & 0o777, 0o644);
  assert.match(await readFile(path, 'utf8'), /^127\.0\.0\.1\tlocalhost$/m);
});

describe('RunOutput', () => {
  it('cuts the inline text between characters', async (t) => {
    const directory = await folder(t);
    const output = await RunOutput.create(directory, 1_000_000, () => undefined);
    // 2047 bytes and a character of three: one byte of it is within the first 2048.
    await output.copy(Readable.from([frame(1, `${'a'.repeat(2047)}€`), frame(2, '\u{feff}x')]));
    await output.close();
    const inline = output.inline();
    assert.equal(inline.Stdout, 'a'.repeat(2047));
    assert.equal(inline.StdoutTruncated, true);
    assert.equal(inline.stderr, '\u{feff}x');
    assert.equal(await readFile(join(directory, 'stdout'), 'utf8'), `${'a'.repeat(2047)}€`);
  });

  it('tells of output at most once in 100 ms, and of the last', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
    const directory = await folder(t);
    let told = 0;
    const output = await RunOutput.create(directory, 1_000_000, () => (told += 1));
    await output.copy(Readable.from(Array.from({ length: 50 }, () => frame(1, 'x'))));
    assert.equal(told, 1);
    t.mock.timers.tick(100);
    assert.equal(told, 2);
    await output.copy(Readable.from([frame(1, 'x')]));
    assert.equal(told, 2);
    await output.close();
    assert.equal(told, 3);
  });

  it('reports a broken stream', async (t) => {
    const output = await RunOutput.create(await folder(t), 1_000_000, () => undefined);
    const broken = new Readable({
      read() {
        this.destroy(new Error('ECONNRESET'));
      },
    });
    await assert.rejects(output.copy(broken), codeIs('EngineFailed'));
    await output.close();
  });
});

describe('result sizes', () => {
  it('count files by length, follow no link, and stop at the limit', async (t) => {
    const directory = await folder(t);
    const outside = await folder(t);
    await writeFile(join(outside, 'large'), Buffer.alloc(1_000_000));
    await mkdir(join(directory, 'sub'));
    await writeFile(join(directory, 'sub/a'), Buffer.alloc(50_000));
    await symlink(outside, join(directory, 'link'));
    const bytes = await measureDirectories([directory], 10_000_000);
    assert.ok(bytes >= 50_000 && bytes < 200_000, String(bytes));
    await checkResultSize([directory], 200_000);
    await assert.rejects(checkResultSize([directory], 49_999), codeIs('OutputTooLarge'));
    assert.equal(await measureDirectories([join(directory, 'gone')], 1), 0);
  });
});

describe('Semaphore', () => {
  it('lets in so many, first come, first served, and forgets who has left', async () => {
    const semaphore = new Semaphore(1);
    const calm = new AbortController().signal;
    const release = await semaphore.acquire(calm);
    const order: string[] = [];
    const leaving = new AbortController();
    const first = semaphore.acquire(leaving.signal).then(
      () => order.push('first'),
      (reason: unknown) => order.push(`left: ${String(reason)}`),
    );
    const second = semaphore.acquire(calm).then((done) => {
      order.push('second');
      return done;
    });
    const third = semaphore.acquire(calm).then((done) => {
      order.push('third');
      return done;
    });
    leaving.abort('tired');
    await first;
    release();
    release();
    const releaseSecond = await second;
    assert.deepEqual(order, ['left: tired', 'second']);
    releaseSecond();
    await third;
    assert.deepEqual(order, ['left: tired', 'second', 'third']);
  });
});
