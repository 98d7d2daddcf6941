import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DISK_FLOOR_BYTES, DiskView } from '../../../src/capacity/disk-view.ts';
import { FreeDisk, freeBytes } from '../../../src/capacity/free-disk.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { recordingLogger } from '../../support/logs.ts';
import { ManualClock, turns } from '../../support/requester/manual-clock.ts';

const GB = 1e9;

test('looks again and again, tells of more, and believes the ledger while nothing can be read', async (t) => {
  const clock = new ManualClock();
  const { logger, lines } = recordingLogger();
  let answer: number | Error = DISK_FLOOR_BYTES + GB;
  let more = 0;
  const disk = new FreeDisk(
    { directory: '/' },
    {
      clock,
      logger,
      onMore: () => {
        more += 1;
      },
      free: async () => {
        if (answer instanceof Error) throw answer;
        return answer;
      },
    },
  );
  t.after(() => disk.stop());
  const look = async (next: number | Error): Promise<void> => {
    answer = next;
    clock.advance(2000);
    await turns();
  };
  // As another thread has it.
  const other = new DiskView(disk.view.buffer);
  assert.equal(other.has(GB), true, 'nothing is known yet');
  assert.equal(other.lack(GB), undefined);
  await disk.start();
  assert.deepEqual([disk.view.bytes, disk.view.has(GB), disk.view.has(GB + 1)], [GB, true, false]);
  await look(1000);
  assert.deepEqual([disk.view.bytes, disk.view.has(0), more], [0, false, 0]);
  await look(DISK_FLOOR_BYTES + 5);
  assert.deepEqual([disk.view.bytes, disk.view.has(0), disk.view.has(6), more], [5, true, false, 1]);
  assert.deepEqual(other.lack(2e9), {
    reason: 'have disk left for the job (2.0 GB requested but only 5 B is free)',
    requested: '2.0 GB',
    available: '5 B',
  });
  await look(new Error('gone'));
  await look(new Error('gone'));
  assert.equal(disk.view.has(1000 * GB), true);
  assert.equal(lines.filter((line) => line['level'] === 40).length, 1, 'said once');
  await look(DISK_FLOOR_BYTES);
  assert.equal(disk.view.has(1), false);
  disk.stop();
  assert.equal(clock.pendingTimers, 0);
});

test('this machine', async (t) => {
  const folder = await temporaryFolder(t);
  assert.ok((await freeBytes(`${folder}/not/there/yet`)) > 0);
  await assert.rejects(freeBytes('/etc/passwd/x'));
});
