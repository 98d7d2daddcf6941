import type { ExecutionHeader } from '../../src/core/item.ts';
import type { InputSource, JobSpec, Task } from '../../src/core/job.ts';
import type { Storage } from '../../src/storages/storage.ts';
import { Bidder, type BidModules } from '../../src/workers/bid/bid.ts';
import type { BidOptions } from '../../src/workers/bid/protocol.ts';
import type { AskedJob } from '../../src/workers/bid/strategy.ts';
import { bidFacts } from '../../src/workers/checks/facts.ts';

export const OFFER: AskedJob['offer'] = {
  engines: ['docker', 'wasm'],
  storages: ['inline', 'ipfs', 'localdirectory'],
  publishers: ['ipfs'],
};

/** A policy that takes nearly everything, and asks nobody. */
export const OPTIONS: BidOptions = {
  nodeId: 'node',
  publicUrl: 'http://10.0.0.5:1234',
  locality: 'anywhere',
  rejectStateless: false,
  acceptNetworked: false,
  allowHostNetwork: false,
  minExecutionTimeoutMs: 1000,
  maxExecutionTimeoutMs: 60_000,
  defaultExecutionTimeoutMs: 30_000,
  timeoutBypass: ['trusted'],
  defaultResources: { cpu: 0.5, memory: 5e8, disk: 0, gpu: 0 },
  jobLimit: { cpu: 2, memory: 4e9, disk: 1e9, gpu: 0 },
  probeExec: '',
  probeHttp: '',
  probeTimeoutMs: 5000,
  probeConcurrency: 64,
  probeOnError: 'transient',
  probePath: process.env['PATH'] ?? '/usr/bin:/bin',
  docker: { host: '', username: '', password: '' },
  storages: {
    ipfsConnect: '',
    ipfsAuthorization: '',
    ipfsBlocks: '/nowhere',
    allowListedLocalPaths: [],
    urlAllowList: [],
    urlTimeoutMs: 1000,
    urlRetries: 0,
  },
};

export const MODULES: BidModules = {
  storages: () => Promise.resolve(new Map()),
  runner: () => {
    throw new Error('no probe is run here');
  },
  platforms: () =>
    Promise.resolve({
      ofEngine: () => Promise.resolve(undefined),
      ofImage: () => Promise.resolve(undefined),
    }),
};

/** A bidder that knows what the node offers. */
export function bidderOf(options: Partial<BidOptions> = {}, modules: Partial<BidModules> = {}): Bidder {
  const bidder = new Bidder({ ...OPTIONS, ...options }, { ...MODULES, ...modules });
  bidder.setOffer(OFFER);
  return bidder;
}

/** Made at 1,700,000,000 s and a second later. */
export const JOB_ID = 'j-018bcfe5-6800-7abc-8def-0123456789ab';
const EXECUTION_ID = 'e-018bcfe5-6be8-7abc-8def-0123456789ab';

export function header(change: Partial<ExecutionHeader> = {}): ExecutionHeader {
  return {
    executionId: EXECUTION_ID,
    jobId: JOB_ID,
    jobVersion: 1,
    requesterId: 'r',
    namespace: 'default',
    jobType: 'batch',
    priority: 0,
    engine: 'docker',
    publisher: '',
    resources: { cpu: 0.5, memory: 5e8, disk: 0, gpu: 0 },
    executionTimeoutMs: 0,
    queueTimeoutMs: 0,
    totalTimeoutMs: 0,
    fileless: false,
    ...change,
  };
}

/** A job with one task. */
export function jobSpec(task: Partial<Task> = {}, Namespace = 'default'): JobSpec {
  return {
    ID: JOB_ID,
    Name: 'n',
    Namespace,
    Type: 'batch',
    Priority: 0,
    Count: 1,
    Constraints: [],
    Meta: {},
    Labels: {},
    Tasks: [
      {
        Name: 'main',
        Engine: { Type: 'docker', Params: { Image: 'x' } },
        Publisher: { Type: '' },
        Resources: {},
        Network: { Type: 'Default' },
        Timeouts: {},
        ...task,
      },
    ],
  };
}

/** The same as bytes. */
export function spec(task: Partial<Task> = {}, Namespace = 'default'): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(jobSpec(task, Namespace)));
}

/** What a strategy is asked about. */
export function askedJob(task: Partial<Task> = {}, change: Partial<ExecutionHeader> = {}): AskedJob {
  const made = header(change);
  const spec = jobSpec(task);
  return { header: made, facts: bidFacts(spec.Tasks[0]), spec, resources: made.resources, offer: OFFER };
}

export function input(Type: string, Params: Record<string, unknown> = {}, Target = '/in'): InputSource {
  return { Source: { Type, Params }, Alias: '', Target };
}

/** A storage that has everything and knows no sizes, but for `answers`. */
export function storage(type: string, answers: Partial<Storage> = {}): Storage {
  return {
    type,
    hasLocally: () => Promise.resolve(true),
    size: () => Promise.resolve(undefined),
    prepare: () => Promise.reject(new Error('a bid prepares nothing')),
    ...answers,
  };
}
