import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Gpu, GpuVendor } from '../../../../src/core/job.ts';
import { containerBody, parseDockerParams } from '../../../../src/engines/docker/container-spec.ts';
import { containerDevices } from '../../../../src/engines/docker/devices.ts';
import { codeIs } from '../../../contract/engine.ts';
import { runRequest } from '../../../support/run-request.ts';

describe('parseDockerParams', () => {
  it('takes null lists, as Go writes them', () => {
    const params = parseDockerParams({
      Image: 'a',
      Entrypoint: null,
      Parameters: null,
      WorkingDirectory: '',
    });
    assert.equal(params.entrypoint, undefined);
    assert.equal(params.parameters, undefined);
    assert.equal(params.workingDirectory, undefined);
  });

  for (const [what, params] of [
    ['no image', {}],
    ['an image that is no text', { Image: 7 }],
    ['parameters that are no list', { Image: 'a', Parameters: 'ls' }],
    ['numbers among the parameters', { Image: 'a', Parameters: [1] }],
    ['a relative working directory', { Image: 'a', WorkingDirectory: 'tmp' }],
    ['a variable without a value', { Image: 'a', EnvironmentVariables: ['A'] }],
    ['a variable without a name', { Image: 'a', EnvironmentVariables: ['=1'] }],
    ['a NUL in a variable', { Image: 'a', EnvironmentVariables: ['A=\0'] }],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseDockerParams(params), codeIs('ValidationFailed'));
    });
  }
});

describe('containerBody', () => {
  it('limits, drops and labels', async (t) => {
    const request = await runRequest(t, {
      engine: 'docker',
      resources: { cpu: 1.5, memory: 100_000_000 },
      env: { B: 'task' },
    });
    const params = parseDockerParams({ Image: 'a', EnvironmentVariables: ['A=1', 'B=params', 'A=2'] });
    const body = containerBody('node', params, request, { mode: 'none' }, {});
    assert.deepEqual(body.Env, ['A=2', 'B=task']);
    assert.equal(body.HostConfig.NanoCpus, 1_500_000_000);
    assert.equal(body.HostConfig.Memory, 100_000_000);
    assert.equal(body.HostConfig.MemorySwap, 100_000_000);
    assert.deepEqual(body.HostConfig.CapDrop, ['ALL']);
    assert.deepEqual(body.HostConfig.SecurityOpt, ['no-new-privileges']);
    assert.equal(body.Labels['bacalhau-nodeID'], 'node');
    assert.equal(body.Labels['bacalhau-jobID'], request.header.jobId);
    assert.equal(body.Labels['bacalhau-executionID'], request.header.executionId);
  });

  it('asks for no less than Docker gives, and for nothing where nothing is asked', async (t) => {
    const params = parseDockerParams({ Image: 'a' });
    const tiny = await runRequest(t, { engine: 'docker', resources: { cpu: 0.001, memory: 1000 } });
    const { HostConfig: small } = containerBody('n', params, tiny, { mode: 'none' }, {});
    assert.equal(small.NanoCpus, 10_000_000);
    assert.equal(small.Memory, 6 * 1024 * 1024);
    const none = await runRequest(t, { engine: 'docker', resources: { cpu: 0, memory: 0 } });
    const { HostConfig: free } = containerBody('n', params, none, { mode: 'none' }, {});
    assert.ok(!('NanoCpus' in free) && !('Memory' in free) && !('MemorySwap' in free));
  });

  it('leaves the network to the runtime where there is a hosts file', async (t) => {
    const request = await runRequest(t, { engine: 'docker' });
    const params = parseDockerParams({ Image: 'a' });
    const plain = containerBody('n', params, request, { mode: 'none' }, {});
    assert.ok(!('NetworkDisabled' in plain));
    assert.deepEqual(plain.HostConfig.Mounts, []);
    const quiet = containerBody('n', params, request, { mode: 'none', hostsFile: '/e/hosts' }, {});
    assert.equal(quiet.NetworkDisabled, true);
    // An engine that knows no such field is still told.
    assert.equal(quiet.HostConfig.NetworkMode, 'none');
    assert.deepEqual(quiet.HostConfig.Mounts, [
      { Type: 'bind', Source: '/e/hosts', Target: '/etc/hosts', ReadOnly: false },
    ]);
  });

  it('refuses two mounts at one place', async (t) => {
    const input = { path: '/a', alias: '', readOnly: true };
    const request = await runRequest(t, {
      engine: 'docker',
      inputs: [
        { ...input, target: '/x' },
        { ...input, target: '/y/../x/' },
      ],
    });
    const params = parseDockerParams({ Image: 'a' });
    assert.throws(
      () => containerBody('n', params, request, { mode: 'none' }, {}),
      codeIs('ValidationFailed'),
    );
  });
});

describe('containerDevices', () => {
  const gpu = (Vendor: GpuVendor, Index: number, more: Partial<Gpu> = {}): Gpu => ({
    Index,
    Name: 'card',
    Vendor,
    Memory: 1,
    PCIAddress: '0000:0A:00.0',
    ...more,
  });
  const resolve = (path: string): Promise<string> =>
    Promise.resolve(path.replace('/by-path/pci-0000:0a:00.0', ''));

  it('asks for NVIDIA by UUID, or by index where there is none', async () => {
    const devices = await containerDevices([gpu('NVIDIA', 0, { UUID: 'GPU-1' }), gpu('NVIDIA', 3)], resolve);
    assert.deepEqual(devices, {
      DeviceRequests: [{ DeviceIDs: ['GPU-1', '3'], Capabilities: [['gpu']] }],
    });
  });

  it('gives AMD its compute interface and both nodes, Intel both nodes', async () => {
    const paths = async (list: Gpu[]): Promise<string[]> =>
      ((await containerDevices(list, resolve)).Devices ?? []).map((device) => device.PathOnHost);
    assert.deepEqual(await paths([gpu('AMD/ATI', 0)]), ['/dev/kfd', '/dev/dri-card', '/dev/dri-render']);
    assert.deepEqual(await paths([gpu('Intel', 0)]), ['/dev/dri-card', '/dev/dri-render']);
    assert.deepEqual(await containerDevices([], resolve), {});
  });

  it('refuses an address that is none, and a device that is missing', async () => {
    await assert.rejects(containerDevices([gpu('Intel', 0, { PCIAddress: '../x' })]), codeIs('EngineFailed'));
    await assert.rejects(containerDevices([gpu('Intel', 0)]), codeIs('EngineFailed'));
  });
});
