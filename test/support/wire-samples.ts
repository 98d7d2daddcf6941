import type { Message } from '../../src/core/messages.ts';

const executionId = 'e-019aa5c4-0a1b-7c2d-8e3f-0123456789ab';
const jobId = 'j-019aa5c4-0a1b-7c2d-8e3f-ba9876543210';
const resources = { cpu: 1.5, memory: 536_870_912, disk: 10_737_418_240, gpu: 0 };
const result = {
  Stdout: 'hello\n',
  StdoutTruncated: false,
  stderr: 'größer',
  StderrTruncated: true,
  ExitCode: 137,
  ErrorMsg: '',
};

/** A sender of the samples. */
export const SAMPLE_PEER = '12D3KooWBAvMfgDPT8YioMGafjHfCvia9e4cuaDM5txSMGEhrtjL';

/** A message of every type with everything it may say, and those with little. Golden frames hold their bytes. */
export const messageSamples: Readonly<Record<string, Message>> = {
  AskForBid: {
    type: 'AskForBid',
    executionId,
    jobId,
    jobVersion: 3,
    spec: Buffer.from('{"Name":"sample"}'),
  },
  BidAccepted: { type: 'BidAccepted', executionId },
  BidRejected: { type: 'BidRejected', executionId, reason: 'another node was chosen' },
  CancelExecution: { type: 'CancelExecution', executionId, reason: 'the user stopped the job' },
  BidResult: {
    type: 'BidResult',
    executionId,
    jobId,
    accepted: true,
    reason: 'yes',
    startsNow: false,
    ahead: 12,
  },
  'BidResult refused': {
    type: 'BidResult',
    executionId,
    jobId,
    accepted: false,
    reason: 'this node does not have so much memory',
    rejection: { code: 'max_capacity', final: true, requested: '64 GB', available: '16 GB' },
  },
  BidWaiting: {
    type: 'BidWaiting',
    executionId,
    jobId,
    reason: 'an operator decides',
    untilMs: 1_795_968_000_123,
  },
  ExecutionStarted: { type: 'ExecutionStarted', executionId, jobId },
  RunResult: {
    type: 'RunResult',
    executionId,
    jobId,
    result,
    published: {
      Type: 'ipfs',
      Params: { CID: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi' },
    },
  },
  ComputeError: {
    type: 'ComputeError',
    executionId,
    jobId,
    error: {
      code: 'ImageNotFound',
      message: 'image not found: nothing:1',
      details: { image: 'nothing:1' },
    },
    topic: 'Exec Scanning',
    result,
    published: { Type: '' },
  },
  'ComputeError plain': {
    type: 'ComputeError',
    executionId,
    jobId,
    error: { code: 'ExecutionLost', message: 'the node was restarted' },
    topic: '',
  },
  NodeInfo: {
    type: 'NodeInfo',
    info: {
      nodeId: SAMPLE_PEER,
      roles: { compute: true, requester: false },
      labels: { 'Operating-System': 'linux', region: 'eu' },
      version: 'v0.1.0',
      compute: {
        engines: ['docker', 'wasm'],
        publishers: ['ipfs', 'local'],
        storages: ['inline', 'ipfs'],
        maxCapacity: resources,
        queueCapacity: resources,
        promisedCapacity: resources,
        queuedCapacity: resources,
        availableCapacity: resources,
        maxJobRequirements: resources,
        gpus: [
          {
            Index: 0,
            Name: 'Tesla T4',
            Vendor: 'NVIDIA',
            Memory: 15_360,
            PCIAddress: '00000000:00:1E.0',
            UUID: 'GPU-1',
          },
        ],
        runningExecutions: 1,
        enqueuedExecutions: 2,
        offeredExecutions: 3,
        openSlots: 4,
        openCapacity: resources,
      },
    },
  },
  'NodeInfo of a requester': {
    type: 'NodeInfo',
    info: {
      nodeId: SAMPLE_PEER,
      roles: { compute: false, requester: true },
      labels: {},
      version: '',
      compute: null,
    },
  },
  RoomAnnounced: { type: 'RoomAnnounced', openSlots: 17, openCapacity: resources },
};
