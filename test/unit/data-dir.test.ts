import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { NodeError } from '../../src/core/errors.ts';
import { lockDataDir } from '../../src/data-dir.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bacalhau-lock-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const LOCK = 'bacalhau.lock';

test('one holder at a time, by name', async () => {
  const path = join(directory, 'a', 'deep');
  const lock = await lockDataDir(path);
  await lock.announce('http://127.0.0.1:9');
  await assert.rejects(lockDataDir(path), (thrown: unknown) => {
    assert.ok(thrown instanceof NodeError);
    assert.equal(thrown.code, 'DataDirInUse');
    assert.match(thrown.message, new RegExp(`pid ${process.pid}, API http://127\\.0\\.0\\.1:9`));
    return true;
  });
  await lock.release();
  await lock.release();
  assert.deepEqual(await readdir(path), []);
  await (await lockDataDir(path)).release();
});

test('many at once: exactly one gets it', async () => {
  const path = join(directory, 'race');
  const script = `
    import { lockDataDir } from ${JSON.stringify(join(import.meta.dirname, '../../src/data-dir.ts'))};
    try { await lockDataDir(${JSON.stringify(path)}); console.log('got'); process.stdin.resume(); }
    catch (error) { console.log(error.code); process.exit(0); }`;
  // A dead holder's lock is there first, so that they race for the takeover.
  await (await lockDataDir(path)).release();
  await writeFile(join(path, LOCK), JSON.stringify({ pid: 2 ** 22 - 3, started: '1', apiUrl: '' }));
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  try {
    const answers = await Promise.all(
      children.map(
        (child) =>
          new Promise<string>((resolve) =>
            child.stdout.once('data', (data: Buffer) => resolve(String(data).trim())),
          ),
      ),
    );
    assert.deepEqual(answers.sort(), [...Array.from({ length: 5 }, () => 'DataDirInUse'), 'got']);
  } finally {
    await Promise.all(
      children.map((child) => {
        if (child.exitCode !== null) return Promise.resolve();
        const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
        child.kill('SIGKILL');
        return gone;
      }),
    );
  }
  // The holder was killed: its lock is taken over.
  await (await lockDataDir(path)).release();
});

test('a pid that belongs to another process by now, or nonsense, is no holder', async () => {
  const path = join(directory, 'stale');
  for (const text of [JSON.stringify({ pid: process.pid, started: '12', apiUrl: '' }), 'not json', '']) {
    await (await lockDataDir(path)).release();
    await writeFile(join(path, LOCK), text);
    const lock = await lockDataDir(path);
    assert.match(await readFile(join(path, LOCK), 'utf8'), new RegExp(`"pid":${process.pid}`));
    await lock.release();
  }
});

test('a place that cannot be written', async () => {
  await assert.rejects(
    lockDataDir(join(import.meta.filename, 'below-a-file')),
    (thrown: unknown) => thrown instanceof NodeError && /cannot write/.test(thrown.message),
  );
});
