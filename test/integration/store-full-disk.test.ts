import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TableSpec } from '../../src/store/environment.ts';
import { openLmdbEnvironment } from '../../src/store/lmdb-environment.ts';
import { run } from '../support/services/service.ts';
import { TEST_NODE } from '../support/store-records.ts';

const rows: TableSpec = { name: 'rows', encoding: 'bytes' };

describe('a full disk', () => {
  it('is told to all who wait, ends nothing, and writes go on when there is room', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'bacalhau-full-'));
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', directory]);
    if (mounted.code !== 0) {
      await rm(directory, { recursive: true });
      const reason = `a small file system cannot be mounted here (needs root): ${mounted.stderr.trim()}`;
      console.log(`SKIPPED: ${reason}`);
      t.skip(reason);
      return;
    }
    try {
      const environment = await openLmdbEnvironment({
        path: join(directory, 'jobs.db'),
        role: 'requester',
        nodeId: TEST_NODE,
      });
      const table = environment.table<Uint8Array>(rows);
      let written = 0;
      const write = (): Promise<void> => {
        for (let i = 0; i < 100; i++) {
          written += 1;
          environment.write((batch) => batch.put(table, written, new Uint8Array(1000)));
        }
        return environment.flushed();
      };
      await write();
      await assert.rejects(
        async () => {
          for (let i = 0; i < 100; i++) await write();
        },
        { code: 'DiskFull', message: /no room left on the disk/ },
      );
      assert.equal(environment.failure()?.code, 'DiskFull');
      assert.ok(table.size() < written);
      const grown = await run('mount', ['-o', 'remount,size=30m', directory]);
      assert.equal(grown.code, 0, grown.stderr);
      await write();
      assert.equal(environment.failure(), undefined);
      assert.equal(table.size(), written);
      await environment.close();
    } finally {
      await run('umount', [directory]);
      await rm(directory, { recursive: true, force: true });
    }
  });
});
