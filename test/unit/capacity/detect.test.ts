import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { detectCgroup } from '../../../src/capacity/cgroup.ts';
import { detectCapacity } from '../../../src/capacity/detect.ts';
import type { RunResult } from '../../../src/subprocess/protocol.ts';
import { type Tree, temporaryFolder, writeTree } from '../../support/folders.ts';
import { recordingLogger } from '../../support/logs.ts';

const NO_TOOL: RunResult = {
  code: null,
  signal: null,
  stdout: new Uint8Array(0),
  stderr: new Uint8Array(0),
  timedOut: false,
  truncated: false,
  startError: 'ENOENT',
};
const modules = { runner: { run: () => Promise.resolve(NO_TOOL) }, logger: recordingLogger().logger };

async function limits(t: Parameters<typeof temporaryFolder>[0], tree: Tree) {
  const root = await temporaryFolder(t);
  await writeTree(root, tree);
  return detectCgroup(root);
}

test('version 2: the tightest limit of the group and those above it', async (t) => {
  const found = await limits(t, {
    'proc/self/cgroup': '0::/system.slice/node.service\n',
    'sys/fs/cgroup/system.slice/cpu.max': '150000 100000\n',
    'sys/fs/cgroup/system.slice/memory.max': '4294967296\n',
    'sys/fs/cgroup/system.slice/node.service/cpu.max': 'max 100000\n',
    'sys/fs/cgroup/system.slice/node.service/memory.max': '1073741824\n',
  });
  assert.deepEqual(found, { cpu: 1.5, memory: 1_073_741_824 });
});

test('version 2 in a container: the path is the host’s, the mount is its own', async (t) => {
  const found = await limits(t, {
    'proc/self/cgroup': '0::/../../docker/abc\n',
    'sys/fs/cgroup/cpu.max': '50000 100000\n',
    'sys/fs/cgroup/memory.max': 'max\n',
  });
  assert.deepEqual(found, { cpu: 0.5, memory: Number.POSITIVE_INFINITY });
});

test('version 1', async (t) => {
  const found = await limits(t, {
    'proc/self/cgroup': '5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n',
    'sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us': '200000\n',
    'sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us': '100000\n',
    'sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes': '536870912\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
  });
  assert.deepEqual(found, { cpu: 2, memory: 536_870_912 });
});

test('no limits, or nothing to read', async (t) => {
  const none = { cpu: Number.POSITIVE_INFINITY, memory: Number.POSITIVE_INFINITY };
  assert.deepEqual(await limits(t, {}), none);
  const odd = {
    'proc/self/cgroup': 'garbage\n0::/a\n4:cpu:/a\n',
    'sys/fs/cgroup/a/cpu.max': 'nonsense',
    'sys/fs/cgroup/a/memory.max': '-1',
    'sys/fs/cgroup/cpu/a/cpu.cfs_quota_us': '-1',
  };
  assert.deepEqual(await limits(t, odd), none);
});

test('the machine is the smaller of host and group, the disk what is free', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'proc/self/cgroup': '0::/a\n',
    'sys/fs/cgroup/a/cpu.max': '150000 100000\n',
    'sys/fs/cgroup/a/memory.max': '99999999999999\n',
  });
  const dataDirectory = join(root, 'not', 'there', 'yet');
  const found = await detectCapacity({ dataDirectory, root, host: { cpu: 8, memory: 1e9 } }, modules);
  assert.equal(found.cpu, 1.5);
  assert.equal(found.memory, 1e9);
  assert.ok(found.disk > 0 && Number.isSafeInteger(found.disk), String(found.disk));
  assert.deepEqual([found.gpu, found.gpus, found.warnings], [0, [], []]);
});

test('a disk that cannot be read counts as none, with a warning', async () => {
  const found = await detectCapacity(
    { dataDirectory: '/etc/passwd/x', host: { cpu: 1, memory: 1 } },
    modules,
  );
  assert.equal(found.disk, 0);
  assert.match(found.warnings[0] ?? '', /free disk space of \/etc\/passwd\/x could not be read/);
});

test('this machine', async (t) => {
  const found = await detectCapacity({ dataDirectory: await temporaryFolder(t) }, modules);
  assert.ok(found.cpu > 0 && found.memory > 1e8 && found.disk > 0, JSON.stringify(found));
});
