import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as nextLook } from 'node:timers/promises';
import { NodeError } from '../../../src/core/errors.ts';
import { Helper } from '../../../src/subprocess/helper.ts';
import type { RunRequest } from '../../../src/subprocess/protocol.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { recordingLogger } from '../../support/logs.ts';

function helper(t: TestContext, env?: Record<string, string>): Helper {
  const made = new Helper(env === undefined ? {} : { env }, { logger: recordingLogger().logger });
  t.after(() => made.stop());
  return made;
}

function shell(script: string, change: Partial<RunRequest> = {}): RunRequest {
  return { command: '/bin/sh', args: ['-c', script], timeoutMs: 20_000, maxOutputBytes: 65_536, ...change };
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function isAlive(pid: number): boolean {
  try {
    // A killed process that nobody has waited for yet is dead all the same.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Waits until the process is gone; the test's own time limit ends the wait. */
async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until a script has written the file; the test's own time limit ends the wait. */
async function written(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  // Events of a watcher are missed between two looks, so the file itself is asked again and again.
  while (!existsSync(path) || (await readFile(path, 'utf8')) === '') await nextLook(10);
  return (await readFile(path, 'utf8')).trim();
}

const refusedWith = (code: string) => (error: unknown) => error instanceof NodeError && error.code === code;

test('input, output, exit code; nothing goes through a shell', async (t) => {
  const runner = helper(t);
  const input = new TextEncoder().encode('hello');
  const result = await runner.run(shell('cat; echo bad >&2; exit 3', { input }));
  assert.equal(text(result.stdout), 'hello');
  assert.equal(text(result.stderr), 'bad\n');
  assert.deepEqual([result.code, result.signal, result.timedOut, result.truncated], [3, null, false, false]);
  const echo = await runner.run({ ...shell(''), command: 'echo', args: ['$HOME', '; ls', '`id`'] });
  assert.equal(text(echo.stdout), '$HOME ; ls `id`\n');
});

test('environment: the helper’s own, or only what the request says', async (t) => {
  const runner = helper(t, { PATH: '/usr/bin:/bin', SECRET_OF_HELPER: '1' });
  assert.match(text((await runner.run(shell('/usr/bin/env'))).stdout), /SECRET_OF_HELPER/);
  const own = await runner.run(shell('/usr/bin/env', { env: { ONLY: 'this' } }));
  assert.match(text(own.stdout), /^ONLY=this$/m);
  assert.doesNotMatch(text(own.stdout), /SECRET_OF_HELPER/);
});

test('a command that cannot be started is a result', async (t) => {
  const runner = helper(t);
  assert.equal((await runner.run(shell('', { command: '/no/such/tool' }))).startError, 'ENOENT');
  assert.equal((await runner.run(shell('', { command: '/etc/passwd' }))).startError, 'EACCES');
  assert.equal((await runner.run(shell('', { args: ['nul\0'] }))).startError, 'ERR_INVALID_ARG_VALUE');
});

test('output over the limit is cut, and the command still ends', async (t) => {
  const result = await helper(t).run(shell('head -c 3000000 /dev/zero', { maxOutputBytes: 1000 }));
  assert.deepEqual([result.stdout.byteLength, result.truncated, result.code], [1000, true, 0]);
});

test('input nobody reads is no error', async (t) => {
  const result = await helper(t).run(shell('exit 0', { input: new Uint8Array(5_000_000) }));
  assert.equal(result.code, 0);
});

test('at the time limit the command and its grandchildren are killed', async (t) => {
  const folder = await temporaryFolder(t);
  const script = `sleep 1000 & echo $! > ${folder}/grandchild; trap '' TERM; wait; sleep 1000`;
  const result = await helper(t).run(shell(script, { timeoutMs: 300 }));
  assert.deepEqual([result.timedOut, result.code, result.signal], [true, null, 'SIGKILL']);
  await gone(Number(await readFile(join(folder, 'grandchild'), 'utf8')));
});

test('what a command leaves in the background ends with it', async (t) => {
  const folder = await temporaryFolder(t);
  const result = await helper(t).run(shell(`sleep 1000 & echo $! > ${folder}/left; exit 0`));
  assert.equal(result.code, 0);
  await gone(Number(await readFile(join(folder, 'left'), 'utf8')));
});

test('abort kills the command', async (t) => {
  const folder = await temporaryFolder(t);
  const controller = new AbortController();
  const run = helper(t).run(shell(`echo $$ > ${folder}/pid; exec sleep 1000`), controller.signal);
  const refused = assert.rejects(run, refusedWith('SubprocessFailed'));
  const pid = Number(await written(folder, 'pid'));
  controller.abort();
  await refused;
  await gone(pid);
});

test('a helper that dies takes its answers with it, and the next run has a new one', async (t) => {
  const folder = await temporaryFolder(t);
  const runner = helper(t);
  const run = runner.run(shell(`echo $$ > ${folder}/pid; exec sleep 20`));
  const refused = assert.rejects(run, refusedWith('SubprocessFailed'));
  const command = Number(await written(folder, 'pid'));
  t.after(() => process.kill(command, 'SIGKILL'));
  const first = runner.pid ?? 0;
  process.kill(first, 'SIGKILL');
  await refused;
  assert.equal(text((await runner.run(shell('echo again'))).stdout), 'again\n');
  assert.notEqual(runner.pid, first);
});

test('stop kills what runs, and refuses what comes', async (t) => {
  const folder = await temporaryFolder(t);
  const runner = helper(t);
  const run = runner.run(shell(`echo $$ > ${folder}/pid; exec sleep 1000`));
  const refused = assert.rejects(run, refusedWith('SubprocessFailed'));
  const pid = Number(await written(folder, 'pid'));
  const own = runner.pid ?? 0;
  await runner.stop();
  await runner.stop();
  await refused;
  await Promise.all([gone(pid), gone(own)]);
  await assert.rejects(runner.run(shell('true')), refusedWith('SubprocessFailed'));
});

test('when the daemon is killed, its helper and what that runs end too', async (t) => {
  const folder = await temporaryFolder(t);
  const module = new URL('../../../src/subprocess/helper.ts', import.meta.url).href;
  const request = JSON.stringify(shell(`echo $$ > ${folder}/pid; exec sleep 1000`));
  const program = `
    const { Helper } = await import('${module}');
    const logger = { error() {}, warn() {} };
    await new Helper({}, { logger }).run(${request});
  `;
  const daemon = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
  t.after(() => daemon.kill('SIGKILL'));
  const pid = Number(await written(folder, 'pid'));
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
  await gone(pid);
});

test('Ctrl-C in the terminal does not end the helper before the daemon', async (t) => {
  const runner = helper(t);
  await runner.run(shell('true'));
  const pid = runner.pid ?? 0;
  process.kill(pid, 'SIGINT');
  process.kill(pid, 'SIGTERM');
  assert.equal((await runner.run(shell('exit 7'))).code, 7);
  assert.equal(runner.pid, pid);
});

test('many at once are run a few at a time; too many, and too large, are refused', async (t) => {
  const runner = helper(t);
  const runs = Array.from({ length: 60 }, (_, index) => runner.run(shell(`exit ${index % 5}`)));
  const codes = (await Promise.all(runs)).map((result) => result.code);
  assert.deepEqual(
    codes,
    runs.map((_, index) => index % 5),
  );
  await assert.rejects(runner.run(shell('true', { maxOutputBytes: 1e9 })), refusedWith('SubprocessFailed'));
  const controller = new AbortController();
  const flood = Array.from({ length: 300 }, () => runner.run(shell('sleep 1000'), controller.signal));
  const settled = Promise.allSettled(flood);
  await assert.rejects(flood[299] ?? Promise.resolve(), refusedWith('Busy'));
  controller.abort();
  assert.ok((await settled).every((outcome) => outcome.status === 'rejected'));
  assert.equal((await runner.run(shell('exit 0'))).code, 0);
});
