import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import type { RunCommandResult } from '../../../src/core/job.ts';
import { dockerLimits } from '../../../src/engines/docker/limits.ts';
import type { RunRequest } from '../../../src/engines/engine.ts';
import { codeIs } from '../../contract/engine.ts';
import { containersOf, dockerEngine, reapTestNode, testDocker } from '../../support/docker.ts';
import { type RunRequestParts, recordingContext, runRequest } from '../../support/run-request.ts';

const MIB = 1024 * 1024;

interface Job {
  readonly result: Promise<RunCommandResult>;
  readonly request: RunRequest;
}

async function sh(t: TestContext, script: string, more: Partial<RunRequestParts> = {}): Promise<Job> {
  const test = testDocker(t);
  assert.ok(test !== undefined, 'checked by each test');
  const { params, ...parts } = more;
  const request = await runRequest(t, {
    engine: 'docker',
    params: { Image: test.image, Entrypoint: ['sh', '-c'], Parameters: [script], ...params },
    ...parts,
  });
  const result = dockerEngine(t, test, { acceptNetworked: true }).run(request, recordingContext());
  result.catch(() => undefined);
  t.after(async () => {
    await result.catch(() => undefined);
    assert.deepEqual(await containersOf(test, request), [], 'no container is left');
  });
  return { result, request };
}

async function inputFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-input-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'file.txt'), 'from the host\n');
  return folder;
}

after(reapTestNode);

describe('what a container may and may not do', { concurrency: 2 }, () => {
  const test = (title: string, body: (t: TestContext) => Promise<void>): void => {
    it(title, async (t) => {
      if (testDocker(t) !== undefined) await body(t);
    });
  };

  test('memory over the limit ends the job, and the error names the limit', async (t) => {
    const { result, request } = await sh(t, 'head -c 100000000 /dev/zero | tail', {
      resources: { memory: 16_000_000 },
    });
    await assert.rejects(result, (error) => {
      assert.ok(codeIs('OutOfMemory')(error));
      assert.match((error as Error).message, /16\.0 MB/);
      return true;
    });
    assert.equal(await readFile(join(request.resultsDirectory, 'exitCode'), 'utf8'), '137');
  });

  test('processes are limited in number', async (t) => {
    const script = 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; exit 0';
    const { result } = await sh(t, script);
    assert.equal((await result).Stdout, `${dockerLimits.pidsPerContainer}\n`);
  });

  test('a fork bomb ends at the limit and takes nothing with it', async (t) => {
    const script = 'i=0; while [ $i -lt 1200 ]; do sleep 30 & i=$((i+1)); done; echo unreachable';
    const { result } = await sh(t, script, { resources: { cpu: 1 } });
    const { Stdout, stderr, ExitCode } = await result;
    assert.equal(Stdout, '');
    assert.match(stderr, /fork/);
    assert.notEqual(ExitCode, 0);
  });

  test('inputs are read-only, folders and files, and result paths are writable', async (t) => {
    const folder = await inputFolder(t);
    const script = [
      'cat /in/file.txt /one.txt',
      'echo x > /in/new 2>/dev/null && echo "folder is writable"',
      'echo x > /one.txt 2>/dev/null && echo "file is writable"',
      'mkdir /out/sub && echo result > /out/sub/r.txt && chown nobody /out/sub/r.txt',
    ].join('; ');
    const { result, request } = await sh(t, script, {
      inputs: [
        { path: folder, target: '/in', alias: 'a', readOnly: true },
        { path: join(folder, 'file.txt'), target: '/one.txt', alias: 'b', readOnly: true },
      ],
      task: { ResultPaths: [{ Name: 'made', Path: '/out' }] },
    });
    const { Stdout, stderr, ExitCode } = await result;
    assert.equal(Stdout, 'from the host\nfrom the host\n');
    assert.equal(ExitCode, 0, stderr);
    const made = await readFile(join(request.resultsDirectory, 'made/sub/r.txt'), 'utf8');
    assert.equal(made, 'result\n');
  });

  test('an input that says so is writable', async (t) => {
    const folder = await inputFolder(t);
    const { result } = await sh(t, 'echo back > /in/file.txt', {
      inputs: [{ path: folder, target: '/in', alias: '', readOnly: false }],
    });
    assert.equal((await result).ExitCode, 0);
    assert.equal(await readFile(join(folder, 'file.txt'), 'utf8'), 'back\n');
  });

  test('no new privileges, and only the capabilities that root in a container needs', async (t) => {
    const { result } = await sh(t, 'grep -E "NoNewPrivs|CapBnd|CapEff" /proc/self/status');
    const { Stdout } = await result;
    assert.match(Stdout, /NoNewPrivs:\t1/);
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7.
    const mask = [0, 1, 3, 5, 6, 7].reduce((bits, bit) => bits | (1 << bit), 0);
    assert.match(Stdout, new RegExp(`CapBnd:\t0*${mask.toString(16)}\n`));
  });

  test('device nodes cannot be made', async (t) => {
    const { result } = await sh(t, 'mknod /tmp/disk b 254 0');
    assert.notEqual((await result).ExitCode, 0);
  });

  test('network None has the loopback and nothing else', async (t) => {
    const { result } = await sh(t, 'ls /sys/class/net');
    assert.equal((await result).Stdout, 'lo\n');
  });

  test('without network, localhost is there, and /etc/hosts is its own to write', async (t) => {
    const serve = 'httpd -p 127.0.0.1:8000 -h /etc';
    const { result } = await sh(
      t,
      `${serve}; echo "127.0.0.1 other" >> /etc/hosts; wget -q -O - http://localhost:8000/passwd http://other:8000/group`,
    );
    assert.match((await result).Stdout, /^root:x:0:0[^]*nogroup:x/);
    const next = await sh(t, 'cat /etc/hosts');
    assert.match((await next.result).Stdout, /^127\.0\.0\.1\tlocalhost\n(?:(?!other).*\n)*$/);
  });

  test('an input may take the place of /etc/hosts', async (t) => {
    const folder = await inputFolder(t);
    const { result } = await sh(t, 'cat /etc/hosts', {
      inputs: [{ path: join(folder, 'file.txt'), target: '/etc/hosts', alias: '', readOnly: true }],
    });
    assert.equal((await result).Stdout, await readFile(join(folder, 'file.txt'), 'utf8'));
  });

  for (const type of ['Default', 'Full', 'Bridge'] as const) {
    test(`network ${type} is the node's own bridge where networking is accepted`, async (t) => {
      const { result } = await sh(t, 'ls /sys/class/net', { task: { Network: { Type: type } } });
      assert.equal((await result).Stdout, 'eth0\nlo\n');
    });
  }

  for (const type of ['Host', 'HTTP'] as const) {
    test(`network ${type} is refused`, async (t) => {
      const { result } = await sh(t, 'true', { task: { Network: { Type: type } } });
      await assert.rejects(result, codeIs('ValidationFailed'));
    });
  }

  test('a container on the bridge cannot reach what listens on the loopback of the node', async (t) => {
    const { createServer } = await import('node:http');
    const api = createServer((_request, response) => response.end('the API'));
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    t.after(() => api.close());
    const address = api.address();
    assert.ok(address !== null && typeof address === 'object');
    const script = [
      'gateway=$(ip route | sed -n "s/^default via \\([0-9.]*\\).*/\\1/p")',
      'echo "gateway $gateway"',
      `wget -q -T 3 -O - http://$gateway:${address.port}/ || echo unreachable`,
    ].join('; ');
    const { result } = await sh(t, script, { task: { Network: { Type: 'Bridge' } } });
    const { Stdout } = await result;
    assert.match(Stdout, /^gateway \d+\.\d+\.\d+\.\d+\nunreachable\n$/);
  });

  test('environment: parameters, then Task.Env and the node; working directory', async (t) => {
    const { result } = await sh(t, 'echo $A $B; pwd', {
      params: { EnvironmentVariables: ['A=params', 'B=params=1'], WorkingDirectory: '/tmp/work' },
      env: { A: 'task' },
    });
    assert.equal((await result).Stdout, 'task params=1\n/tmp/work\n');
  });

  test('results over their limit end the job while it runs', async (t) => {
    const { result } = await sh(t, 'head -c 3000000 /dev/zero > /out/zeros; sleep 600', {
      task: { ResultPaths: [{ Name: 'made', Path: '/out' }] },
      maxResultBytes: 2_000_000,
    });
    await assert.rejects(result, codeIs('OutputTooLarge'));
  });

  test('results over their limit are found after the end, sparse files among them', async (t) => {
    const { result } = await sh(t, 'dd of=/out/sparse bs=1 count=0 seek=1000000000 </dev/null', {
      task: { ResultPaths: [{ Name: 'made', Path: '/out' }] },
      maxResultBytes: 2_000_000,
    });
    await assert.rejects(result, codeIs('OutputTooLarge'));
  });

  test('much output of small writes arrives whole, in order, on both streams', async (t) => {
    const script = 'i=0; while [ $i -lt 3000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done';
    const { result, request } = await sh(t, script);
    assert.equal((await result).ExitCode, 0);
    for (const [file, letter] of [
      ['stdout', 'o'],
      ['stderr', 'e'],
    ] as const) {
      const lines = (await readFile(join(request.resultsDirectory, file), 'utf8')).split('\n');
      assert.equal(lines.length, 3001);
      assert.ok(lines.slice(0, -1).every((line, index) => line === `${letter}${index}`));
    }
  });

  test('a large output stays within little memory', async (t) => {
    const bytes = 300 * MIB;
    const { result, request } = await sh(t, `head -c ${bytes} /dev/zero`, {
      maxStreamBytes: bytes,
      resources: { cpu: 2 },
    });
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
    assert.equal((await result).ExitCode, 0);
    clearInterval(watch);
    const { size } = await (await import('node:fs/promises')).stat(join(request.resultsDirectory, 'stdout'));
    assert.equal(size, bytes);
    assert.ok(peak - before < 150 * MIB, `grew by ${Math.round((peak - before) / MIB)} MiB`);
  });
});

describe('mounts that are refused', () => {
  it('names the target that cannot be', async (t) => {
    if (testDocker(t) === undefined) return;
    const folder = await inputFolder(t);
    await mkdir(join(folder, 'sub'));
    for (const target of ['/', '/proc/x', '/sys', 'relative', '/a/../../proc']) {
      const { result } = await sh(t, 'true', {
        inputs: [{ path: folder, target, alias: '', readOnly: true }],
      });
      await assert.rejects(result, codeIs('ValidationFailed'), target);
    }
  });
});
