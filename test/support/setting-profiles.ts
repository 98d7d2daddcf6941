import type { Values } from './settings.ts';

/** What the values of a profile are made of. */
export interface Surroundings {
  readonly folder: string;
  readonly apiPort: number;
  readonly swarmPort: number;
  /** Swarm addresses of two other nodes. */
  readonly peers: readonly [string, string];
}

/** A node that keeps to itself. */
export const strict = ({ folder, apiPort, swarmPort, peers }: Surroundings): Values => ({
  Labels: 'zone=a,disk=ssd',
  'API.Host': '127.0.0.2',
  'API.Port': String(apiPort),
  'Libp2p.SwarmHost': '127.0.0.3',
  'Libp2p.SwarmPort': String(swarmPort),
  'Libp2p.Peers': peers[0],
  'IPFS.SwarmAddresses': peers[1],
  'Compute.AllocatedCapacity.CPU': '1',
  'Compute.AllocatedCapacity.Memory': '1Gb',
  'Compute.AllocatedCapacity.Disk': '2Gb',
  'Compute.AllocatedCapacity.GPU': '0',
  'Compute.JobLimit.CPU': '500m',
  'Compute.JobLimit.Memory': '600Mb',
  'Compute.JobLimit.Disk': '1Gb',
  'Compute.JobLimit.GPU': '0',
  'JobAdmissionControl.Locality': 'local',
  'JobAdmissionControl.RejectStatelessJobs': 'true',
  'JobAdmissionControl.AcceptNetworkedJobs': 'false',
  'Compute.JobTimeouts.Min': '2s',
  'Compute.JobTimeouts.Max': '1h',
  'Compute.JobTimeouts.Default': '2s',
  'Compute.JobTimeouts.BypassList': 'trusted',
  'Engines.Disabled': 'wasm',
  'InputSources.Disabled': 'ipfs',
  'Publishers.Disabled': 'ipfs',
  'Compute.AllowListedLocalPaths': `${folder}/allowed/**`,
  'Compute.Env.AllowList': 'SHARED_*',
  'Publishers.Types.Local.Address': 'http://results.example:8080',
  'JobDefaults.Task.Publisher': 'local',
  'JobDefaults.Task.Resources.CPU': '200m',
  'JobDefaults.Task.Resources.Memory': '64Mb',
  'JobDefaults.Task.Resources.Disk': '10Mb',
  'Compute.ExecutionStore.Type': 'boltdb',
  'Compute.ExecutionStore.Path': `${folder}/stores/e.db`,
  'Orchestrator.JobStore.Type': 'lmdb',
  'Orchestrator.JobStore.Path': `${folder}/stores/j.db`,
  'Logging.Level': 'debug',
  'Logging.Mode': 'json',
  'Limits.ingestQueue': '11',
  'Limits.bidQueue': '12',
  'Limits.admitQueue': '13',
  'Limits.executeQueue': '14',
  'Limits.wasmQueue': '15',
  'Limits.publishQueue': '16',
});

/** A node that takes everything, in small amounts. */
export const open = (): Values => ({
  'API.Host': '127.0.0.1',
  'API.Port': '0',
  'Libp2p.SwarmHost': '127.0.0.1',
  'Libp2p.SwarmPort': '0',
  'API.MaxConnections': '60',
  'API.RequestTimeout': '1s',
  'Compute.AllocatedCapacity.CPU': '10000',
  'Compute.IgnorePhysicalResourceLimits': 'true',
  'JobAdmissionControl.Locality': 'anywhere',
  'JobAdmissionControl.AcceptNetworkedJobs': 'true',
  'JobAdmissionControl.AcceptHostNetwork': 'true',
  'InputSources.URLAllowList': '127.0.0.1',
  'InputSources.ReadTimeout': '1s',
  'InputSources.MaxRetryCount': '1',
  'Compute.MaxResultSize': '20kb',
  'Compute.ExecutionStore.Type': 'memory',
  'Orchestrator.JobStore.Type': 'memory',
  'Workers.Wasm': '1',
  'Limits.body': '100kb',
  'Limits.stream': '1kb',
  'Limits.logReaders': '2',
});

/** Settings whose effect is shown in other files; the rest of the table is below. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  DataDir: 'e2e/settings-start.test.ts',
  NodeType: 'e2e/settings-start.test.ts',
  'Compute.Enabled': 'e2e/settings-start.test.ts',
  'Orchestrator.Enabled': 'e2e/settings-start.test.ts',
  'IPFS.Connect': 'e2e/settings-start.test.ts',
  'IPFS.Authorization': 'e2e/settings-start.test.ts',
  'JobAdmissionControl.ProbeExec': 'e2e/probes.test.ts',
  'JobAdmissionControl.ProbeHTTP': 'e2e/probes.test.ts',
  'JobAdmissionControl.ProbeTimeout': 'e2e/probes.test.ts',
  'JobAdmissionControl.ProbeConcurrency': 'unit/workers/bid/probes/exec.test.ts',
  'JobAdmissionControl.ProbeOnError': 'unit/workers/bid/probes/exec.test.ts',
  'JobAdmissionControl.ApprovalTimeout': 'integration/approvals.test.ts',
  'JobAdmissionControl.Approver': 'integration/approvals.test.ts',
  'Limits.approvals': 'unit/pipeline/approvals.test.ts',
  'JobDefaults.Task.Resources.GPU': 'e2e/settings-start.test.ts',
  'Engines.Types.Docker.Host': 'e2e/real-jobs.test.ts',
  // Never applied to the loopback.
  'API.RateLimit': 'unit/net/api/rate-limit.test.ts',
  'Engines.Types.Docker.Username': 'unit/engines/docker/pulls.test.ts',
  'Engines.Types.Docker.Password': 'unit/engines/docker/pulls.test.ts',
  // How many threads there are shows in no answer; that the pools have them is the runner's test.
  'Workers.Ingest': 'integration/runner.test.ts',
  'Workers.Bid': 'integration/runner.test.ts',
  'Workers.Admit': 'integration/runner.test.ts',
  'Workers.Supervise': 'integration/runner.test.ts',
  'Workers.Publish': 'integration/runner.test.ts',
  'Limits.batchItems': 'integration/runner.test.ts',
  'Limits.offeredTimeout': 'unit/pipeline/park.test.ts',
  'Limits.asksInFlight': 'unit/requester/room.test.ts',
  'Limits.logBuffer': 'contract/api-sockets.ts',
  'Limits.eventSubscribers': 'contract/api-streams.ts',
  'Limits.eventRingItems': 'unit/events/hub.test.ts',
  'Limits.eventRing': 'unit/events/ring.test.ts',
  'Limits.eventStall': 'contract/api-events.ts',
  'Limits.eventBeat': 'unit/events/hub.test.ts',
  'API.AllowedOrigins': 'contract/api-events.ts',
  'Limits.eventBuffer': 'contract/api-streams.ts',
};
