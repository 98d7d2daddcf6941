import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import { newExecutionId } from '../../../../src/core/ids.ts';
import { Admission } from '../../../../src/workers/admit/admit.ts';
import { temporaryFolder, writeTree } from '../../../support/folders.ts';

const place = (executionId: string) => ({ kind: 'place', executionId, gpus: [1, 3] }) as const;

test('place makes the folders, and those above them', async (t) => {
  const executionsDirectory = join(await temporaryFolder(t), 'data', 'executions');
  const executionId = newExecutionId();
  const placement = await new Admission({ executionsDirectory }).handle(place(executionId));
  assert.deepEqual(placement, { directory: join(executionsDirectory, executionId), gpus: [1, 3] });
  assert.deepEqual((await readdir(placement.directory)).sort(), ['inputs', 'results']);
  assert.equal((await stat(placement.directory)).mode & 0o777, 0o700);
});

test('what an earlier attempt left is gone, and links lead nowhere', async (t) => {
  const root = await temporaryFolder(t);
  const executionsDirectory = join(root, 'executions');
  const outside = join(root, 'outside');
  await writeTree(outside, { precious: 'x' });
  const executionId = newExecutionId();
  const directory = join(executionsDirectory, executionId);
  await writeTree(directory, { 'results/old': 'x', 'inputs/a/b': 'y', 'results/link': { link: outside } });
  await chmod(join(directory, 'inputs/a'), 0o500);
  const admission = new Admission({ executionsDirectory });
  await admission.handle(place(executionId));
  assert.deepEqual((await readdir(directory, { recursive: true })).sort(), ['inputs', 'results']);

  const linked = newExecutionId();
  await symlink(outside, join(executionsDirectory, linked));
  await admission.handle(place(linked));
  await writeFile(join(executionsDirectory, linked, 'results', 'precious'), 'other');
  assert.deepEqual(await readdir(outside), ['precious']);
});

test('remove takes everything, and nothing is fine', async (t) => {
  const executionsDirectory = await temporaryFolder(t);
  const admission = new Admission({ executionsDirectory });
  const executionId = newExecutionId();
  const { directory } = await admission.handle(place(executionId));
  await mkdir(join(directory, 'results', 'closed'));
  await writeFile(join(directory, 'results', 'closed', 'file'), 'x');
  await chmod(join(directory, 'results', 'closed'), 0o000);
  await admission.handle({ kind: 'remove', executionId });
  await admission.handle({ kind: 'remove', executionId });
  assert.deepEqual(await readdir(executionsDirectory), []);
});

test('only whole execution ids become paths', async (t) => {
  const executionsDirectory = await temporaryFolder(t);
  const admission = new Admission({ executionsDirectory });
  for (const id of ['../x', 'e-1', '', `${newExecutionId()}/..`, newExecutionId().replace('e-', 'j-')]) {
    for (const kind of ['place', 'remove'] as const) {
      await assert.rejects(
        admission.handle({ kind, executionId: id, gpus: [] }),
        (error) => error instanceof NodeError && error.code === 'ValidationFailed',
        id,
      );
    }
  }
  assert.deepEqual(await readdir(executionsDirectory), []);
});

test('what the file system says is told with the path', async (t) => {
  const root = await temporaryFolder(t);
  await writeFile(join(root, 'executions'), 'a file');
  const admission = new Admission({ executionsDirectory: join(root, 'executions') });
  await assert.rejects(
    admission.handle(place(newExecutionId())),
    (error) => error instanceof NodeError && error.code === 'Internal' && error.message.includes(root),
  );
  assert.throws(() => new Admission({ executionsDirectory: 'relative' }));
});

test('a full disk is told as one', async (t) => {
  const executionsDirectory = await temporaryFolder(t);
  try {
    // Room for the root and one more inode.
    execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'nr_inodes=2', 'tmpfs', executionsDirectory], {
      stdio: 'pipe',
    });
  } catch (error) {
    console.log(`SKIPPED: a full disk is made by mounting one: ${String(error)}`);
    t.skip('cannot mount a file system here');
    return;
  }
  try {
    await assert.rejects(
      new Admission({ executionsDirectory }).handle(place(newExecutionId())),
      (error) =>
        error instanceof NodeError && error.code === 'DiskFull' && error.message.includes('disk is full'),
    );
  } finally {
    execFileSync('/usr/bin/umount', [executionsDirectory]);
  }
});

test('many at once', async (t) => {
  const executionsDirectory = await temporaryFolder(t);
  const admission = new Admission({ executionsDirectory });
  const ids = Array.from({ length: 300 }, () => newExecutionId());
  await Promise.all(ids.map((id) => admission.handle(place(id))));
  assert.equal((await readdir(executionsDirectory)).length, ids.length);
});
