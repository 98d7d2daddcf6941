import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { open } from 'lmdb';
import { createSequencer } from '../../../src/events/seq.ts';
import type { Environment, TableSpec } from '../../../src/store/environment.ts';
import { createComputeStore } from '../../../src/store/environment-compute-store.ts';
import { openLmdbEnvironment } from '../../../src/store/lmdb-environment.ts';
import { lastSeq } from '../../../src/store/role-log.ts';
import { metaTable } from '../../../src/store/tables.ts';
import { TEST_NODE, TEST_SPEC, testExecution, testHistory } from '../../support/store-records.ts';

const rows: TableSpec = { name: 'rows', encoding: 'msgpack' };
const runFile = promisify(execFile);

describe('LMDB environment', () => {
  let directory: string;
  let count = 0;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bacalhau-lmdb-'));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const newPath = (): string => {
    count += 1;
    return join(directory, `store-${count}`, 'executions.db');
  };
  const openStore = (path: string, nodeId = TEST_NODE): Promise<Environment> =>
    openLmdbEnvironment({ path, role: 'compute', nodeId });

  it('makes missing folders for the owner only, and finds its rows again', async () => {
    const path = newPath();
    const first = await openStore(path);
    assert.equal((await stat(join(path, '..'))).mode & 0o777, 0o700);
    assert.equal(first.path, path);
    first.write((batch) => batch.put(first.table(rows), 'a', { n: 1 }));
    await first.close();
    assert.deepEqual((await readdir(join(path, '..'))).sort(), ['executions.db', 'executions.db-lock']);
    const second = await openStore(path);
    assert.deepEqual(second.table(rows).get('a'), { n: 1 });
    await second.close();
  });

  it('refuses foreign files by name, and leaves them as they are', async () => {
    const bolt = Buffer.alloc(8192);
    bolt.writeUInt32LE(0xed0cdaed, 16);
    const damaged = newPath();
    const environment = await openStore(damaged);
    for (let i = 0; i < 6000; i++) {
      environment.write((batch) => batch.put(environment.table(rows), i, 'x'.repeat(1000)));
    }
    await environment.close();
    const whole = await readFile(damaged);
    const other = newPath();
    await mkdir(join(other, '..'));
    const otherDatabase = open({ path: other, noSubdir: true });
    await otherDatabase.put('key', 'of another program');
    await otherDatabase.close();
    const contents: Record<string, [Buffer, RegExp]> = {
      bolt: [bolt, /bolt database/],
      text: [Buffer.from('hello, this is some text of mine\n'), /file of another kind/],
      short: [Buffer.from('x'), /file of another kind/],
      zeros: [Buffer.alloc(100_000), /file of another kind/],
      truncated: [whole.subarray(0, 9000), /damaged LMDB database/],
      half: [whole.subarray(0, 1_000_000), /damaged LMDB database/],
      otherProgram: [await readFile(other), /LMDB database of another program/],
    };
    for (const [name, [content, message]] of Object.entries(contents)) {
      const path = newPath();
      await mkdir(join(path, '..'));
      await writeFile(path, content);
      await assert.rejects(openStore(path), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'StoreForeign', name);
        assert.match(error.message, message, name);
        assert.ok(error.message.includes(path), name);
        return true;
      });
      assert.ok((await readFile(path)).equals(content), `${name} was changed`);
      await assert.rejects(stat(`${path}.lock-owner`), { code: 'ENOENT' });
    }
    const path = newPath();
    await mkdir(path, { recursive: true });
    await assert.rejects(openStore(path), { code: 'StoreForeign' });
  });

  it('takes an empty file for a store whose making was interrupted', async () => {
    const path = newPath();
    await mkdir(join(path, '..'));
    await writeFile(path, '');
    const environment = await openStore(path);
    environment.write((batch) => batch.put(environment.table(rows), 'a', 1));
    await environment.close();
    assert.ok((await stat(path)).size > 0);
  });

  it('refuses a path that cannot be', async () => {
    const path = newPath();
    await mkdir(join(path, '..'));
    await writeFile(path, 'text');
    await assert.rejects(openStore(join(path, 'executions.db')), { code: 'StoreFailed' });
  });

  it("refuses another node's store, another role's, and another schema", async () => {
    const path = newPath();
    const environment = await openStore(path);
    await assert.rejects(openStore(path, 'other'), { code: 'StoreLocked' });
    const meta = environment.table<object>(metaTable);
    const schema = meta.get('schema') ?? {};
    environment.write((batch) => batch.put(meta, 'schema', { ...schema, version: 99 }));
    await environment.close();
    await assert.rejects(openStore(path), /newer version of this node \(schema 99/);
    const old = newPath();
    const earlier = await openStore(old);
    const table = earlier.table<object>(metaTable);
    earlier.write((batch) => batch.put(table, 'schema', { ...schema, version: 1 }));
    await earlier.close();
    await assert.rejects(openStore(old), {
      code: 'StoreForeign',
      message: /older version of this node \(schema 1;.*move it away/,
    });
    const mine = newPath();
    await (await openStore(mine)).close();
    await assert.rejects(
      openStore(mine, '12D3KooWOther'),
      /belongs to node 12D3KooWTest.*this is node 12D3KooWOther/,
    );
    await assert.rejects(openLmdbEnvironment({ path: mine, role: 'requester', nodeId: TEST_NODE }), {
      code: 'StoreForeign',
      message: /compute role/,
    });
    await (await openStore(mine)).close();
  });

  it('refuses a second opener in this process and in another, and names the holder', async () => {
    const path = newPath();
    const environment = await openStore(path);
    await assert.rejects(openStore(path), { code: 'StoreLocked', message: /this very process/ });
    const script = `
      import { openLmdbEnvironment } from ${JSON.stringify(import.meta.resolve('../../../src/store/lmdb-environment.ts'))};
      try { await openLmdbEnvironment({ path: ${JSON.stringify(path)}, role: 'compute', nodeId: ${JSON.stringify(TEST_NODE)} }); console.log('opened'); }
      catch (error) { console.log(error.code, error.message); }`;
    const { stdout } = await runFile(process.execPath, ['--input-type=module', '--eval', script]);
    assert.match(stdout, new RegExp(`^StoreLocked .*process ${process.pid}[;,. ]`));
    await environment.close();
    await (await openStore(path)).close();
  });

  it('takes over from a process that was killed, and only once', async () => {
    const path = newPath();
    const script = `
      import { openLmdbEnvironment } from ${JSON.stringify(import.meta.resolve('../../../src/store/lmdb-environment.ts'))};
      await openLmdbEnvironment({ path: ${JSON.stringify(path)}, role: 'compute', nodeId: ${JSON.stringify(TEST_NODE)} });
      console.log('open'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await assert.rejects(openStore(path), {
      code: 'StoreLocked',
      message: new RegExp(`process ${child.pid}`),
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => openStore(path)));
    const opened = tries.filter((result) => result.status === 'fulfilled');
    assert.equal(opened.length, 1);
    await opened[0]?.value.close();
    assert.deepEqual((await readdir(join(path, '..'))).sort(), ['executions.db', 'executions.db-lock']);
  });

  it('does not take a stranger with a recycled pid for the holder', async () => {
    const path = newPath();
    await mkdir(join(path, '..'));
    await writeFile(`${path}.lock-owner`, JSON.stringify({ pid: process.ppid, start: 'another boot/1' }));
    await (await openStore(path)).close();
    await writeFile(`${path}.lock-owner`, 'garbage');
    await (await openStore(path)).close();
  });

  it('shares one promise among the waiters of a flush', async () => {
    const environment = await openStore(newPath());
    await environment.flushed();
    environment.write((batch) => batch.put(environment.table(rows), 'a', 1));
    assert.equal(environment.flushed(), environment.flushed());
    await environment.flushed();
    await environment.close();
  });

  it('goes on with the numbers and counters of the last run', async () => {
    const path = newPath();
    const first = await openStore(path);
    const sequencer = createSequencer(lastSeq(first));
    const store = createComputeStore({ environment: first, nextSeq: () => sequencer.next() });
    const record = testExecution();
    const jobId = record.header.jobId;
    const message = { type: 'ExecutionStarted', executionId: record.header.executionId, jobId } as const;
    store.transition({
      from: null,
      record,
      spec: TEST_SPEC,
      history: [testHistory({ jobId, executionId: record.header.executionId })],
      outbox: [{ to: TEST_NODE, message }],
    });
    store.outbox.remove(TEST_NODE, [1]);
    await store.close();
    const second = await openStore(path);
    assert.equal(lastSeq(second), 1);
    const again = createComputeStore({ environment: second, nextSeq: () => lastSeq(second) + 1 });
    assert.equal(again.counts().Created, 1);
    let seq = 0;
    again.outbox.onAppend((appended) => {
      seq = appended[0]?.seq ?? 0;
    });
    again.transition({ from: 'Created', record, history: [], outbox: [{ to: TEST_NODE, message }] });
    assert.equal(seq, 2, 'the number of a removed row is not given out again');
    assert.equal(again.log({ after: 0, limit: 9 }).length, 1);
    await again.close();
  });
});
