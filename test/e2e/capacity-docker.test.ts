import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testDocker } from '../support/docker.ts';
import { dockerJob } from '../support/jobs.ts';
import { startTestNode } from '../support/node.ts';

/** The unit of the times in /proc: a hundredth of a second on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;
const HOG_SECONDS = 3;
const SHARE = 0.25;

test('containers are limited: memory and CPU', async (t) => {
  const docker = testDocker(t);
  if (docker === undefined) return;
  const node = await startTestNode(t, { env: { DOCKER_HOST: docker.dockerHost } });

  await t.test('a memory hog is ended, the job says so, and its capacity is free', async () => {
    const id = await node.submit(
      dockerJob(docker.image, ['sh', '-c', 'head -c 200000000 /dev/zero | tail'], {
        resources: { CPU: '500m', Memory: '32mb', Disk: '1mb' },
      }),
    );
    const ended = await node.waitForJob(id, 60_000);
    assert.equal(ended.state, 'Failed');
    const told = (await node.history(id)).map(({ message }) => message).join('\n');
    assert.match(told, /exceeded its memory limit of 32\.0 MB/);
    const used = [...(await node.metrics())].filter(([name]) => name.includes('account="used"'));
    assert.ok(used.length === 4 && used.every(([, value]) => value === 0), JSON.stringify(used));
  });

  await t.test('a CPU hog gets its share and no more', async (part) => {
    // cutime and cstime of a shell whose children are over: what they used of the CPUs, in ticks.
    const script = `timeout ${HOG_SECONDS} sh -c 'while :; do :; done' & timeout ${HOG_SECONDS} sh -c 'while :; do :; done'; wait; cut -d' ' -f16,17 /proc/$$/stat`;
    const id = await node.submit(
      dockerJob(docker.image, ['sh', '-c', script], {
        resources: { CPU: String(SHARE), Memory: '32mb', Disk: '1mb' },
      }),
    );
    assert.equal((await node.waitForJob(id, 60_000)).state, 'Completed');
    const stdout = (await node.executions(id))[0]?.stdout ?? '';
    const ticks = stdout.trim().split(/\s+/).map(Number);
    assert.ok(ticks.length === 2 && ticks.every(Number.isFinite), stdout);
    const share = ticks.reduce((a, b) => a + b, 0) / TICKS_PER_SECOND / HOG_SECONDS;
    part.diagnostic(`two busy loops used ${share.toFixed(3)} CPUs where ${SHARE} were asked for`);
    assert.ok(share < SHARE * 1.25, `no more than its share: ${share}`);
    assert.ok(share > SHARE * 0.5, `its share, on a busy machine too: ${share}`);
  });
});
