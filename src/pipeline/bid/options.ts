import type { Setting, SettingReader } from '../../config/table.ts';
import { NO_TIMEOUT_SECONDS } from '../../core/duration.ts';
import type { NodeId } from '../../core/ids.ts';

/** Which jobs the node takes. */
export interface BidConfig {
  /** Requesters whose asks are answered, beside this node's own. */
  readonly acceptBidsFrom: 'any' | readonly NodeId[];
  readonly locality: 'local' | 'anywhere';
  readonly rejectStateless: boolean;
  readonly acceptNetworked: boolean;
  readonly minExecutionTimeoutMs: number;
  /** Infinity means none. */
  readonly maxExecutionTimeoutMs: number;
  readonly defaultExecutionTimeoutMs: number;
  /** Namespaces exempt from minimum and maximum. */
  readonly timeoutBypass: readonly string[];
  /** Shell text; "" for no exec probe. */
  readonly probeExec: string;
  /** URL; "" for no HTTP probe. */
  readonly probeHttp: string;
  readonly probeTimeoutMs: number;
  readonly probeConcurrency: number;
  readonly probeOnError: 'reject' | 'transient';
  /** How long a bid may wait for an operator's approval. */
  readonly approvalTimeoutMs: number;
  /** Id of the client whose signed approvals count; "" for nobody's. */
  readonly approver: string;
  /** PATH of exec probes. */
  readonly probePath: string;
}

/** What shells search where the node was started without a PATH. */
const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** A requester waits for the answer, and the place of a bid is held meanwhile. */
const SHORTEST_PROBE_MS = 10;
const LONGEST_PROBE_MS = 600_000;
/** Equal to MAX_PROBES of the bid threads. */
const MOST_PROBES = 1024;

const ACCEPT_FROM = 'JobAdmissionControl.AcceptBidsFrom';

export const bidSettings: readonly Setting[] = [
  {
    key: ACCEPT_FROM,
    flag: 'accept-bids-from',
    kind: 'list',
    format: 'peer-id',
    default: 'any',
    doc: 'Whose jobs this node takes: "any" requester that reaches its swarm, peer ids, or "none". Its own it takes always.',
  },
  {
    key: 'JobAdmissionControl.Locality',
    aliases: ['Node.Compute.JobSelection.Locality'],
    flag: 'job-selection-data-locality',
    kind: 'string',
    choices: ['local', 'anywhere'],
    default: 'local',
    doc: 'Only accept jobs that reference data we have locally ("local") or anywhere ("anywhere").',
  },
  {
    key: 'JobAdmissionControl.RejectStatelessJobs',
    aliases: ['Node.Compute.JobSelection.RejectStatelessJobs'],
    flag: 'job-selection-reject-stateless',
    kind: 'boolean',
    default: 'false',
    doc: "Reject jobs that don't specify any data.",
  },
  {
    key: 'JobAdmissionControl.AcceptNetworkedJobs',
    aliases: ['Node.Compute.JobSelection.AcceptNetworkedJobs'],
    flag: 'job-selection-accept-networked',
    kind: 'boolean',
    default: 'false',
    doc: 'Accept jobs that require network access.',
  },
  {
    key: 'JobAdmissionControl.ProbeExec',
    aliases: ['Node.Compute.JobSelection.ProbeExec'],
    flag: 'job-selection-probe-exec',
    kind: 'string',
    default: '',
    unset: 'no probe',
    doc: 'Use the result of an external program to decide if we should take on the job: shell text, run with the job as JSON on its stdin; exit code 0 accepts.',
  },
  {
    key: 'JobAdmissionControl.ProbeHTTP',
    aliases: ['Node.Compute.JobSelection.ProbeHttp'],
    flag: 'job-selection-probe-http',
    kind: 'string',
    format: 'url',
    default: '',
    unset: 'no probe',
    doc: 'Use the result of an HTTP POST to decide if we should take on the job: a URL; a status below 400 accepts, unless a JSON object says otherwise.',
  },
  {
    key: 'JobAdmissionControl.ProbeTimeout',
    flag: 'job-selection-probe-timeout',
    kind: 'duration',
    default: '10s',
    doc: 'How long a probe may take; then it is killed, with everything it started.',
  },
  {
    key: 'JobAdmissionControl.ProbeConcurrency',
    flag: 'job-selection-probe-concurrency',
    kind: 'integer',
    min: 1,
    max: MOST_PROBES,
    default: '64',
    doc: 'Probes of a kind that run at once; a bid on top of that is put off.',
  },
  {
    key: 'JobAdmissionControl.ProbeOnError',
    flag: 'job-selection-probe-on-error',
    kind: 'string',
    choices: ['reject', 'transient'],
    default: 'transient',
    doc: 'What it means when a probe times out, cannot start or cannot be reached: the job is refused for good (reject), or put off and asked for again (transient).',
  },
  {
    key: 'JobAdmissionControl.ApprovalTimeout',
    flag: 'job-selection-approval-timeout',
    kind: 'duration',
    default: '24h',
    doc: 'How long a job that a probe left to an operator (shouldWait) may wait for approval.',
  },
  {
    key: 'JobAdmissionControl.Approver',
    flag: 'job-selection-approver',
    env: ['BACALHAU_JOB_APPROVER'],
    kind: 'string',
    default: '',
    unset: 'nobody',
    doc: 'Id of the client (hex SHA-256 of its public key) whose signed approvals count: POST /api/v1/compute/approve.',
  },
  {
    key: 'Compute.JobTimeouts.Min',
    aliases: ['Node.Compute.JobTimeouts.MinJobExecutionTimeout'],
    flag: 'min-job-execution-timeout',
    kind: 'duration',
    default: '500ms',
    doc: 'Shortest execution timeout a job may ask for.',
  },
  {
    key: 'Compute.JobTimeouts.Max',
    aliases: ['Node.Compute.JobTimeouts.MaxJobExecutionTimeout'],
    flag: 'max-job-execution-timeout',
    kind: 'duration',
    default: '',
    unset: 'no maximum',
    doc: 'Longest execution timeout a job may ask for.',
  },
  {
    key: 'Compute.JobTimeouts.Default',
    aliases: ['Node.Compute.JobTimeouts.DefaultJobExecutionTimeout'],
    flag: 'default-job-execution-timeout',
    kind: 'duration',
    default: '10m',
    doc: 'Execution timeout of a job that asks for none.',
  },
  {
    key: 'Compute.JobTimeouts.BypassList',
    aliases: ['Node.Compute.JobTimeouts.JobExecutionTimeoutClientIDBypassList'],
    flag: 'job-execution-timeout-bypass-client-id',
    kind: 'list',
    default: '',
    unset: 'nobody',
    doc: 'Namespaces (client ids) exempt from the shortest and the longest execution timeout.',
  },
];

function readAcceptFrom(settings: SettingReader): BidConfig['acceptBidsFrom'] {
  const given = settings.list(ACCEPT_FROM);
  const words = given.map((item) => item.toLowerCase()).filter((item) => item === 'any' || item === 'none');
  if (words.length === 0) return given;
  if (given.length > 1) settings.fault(ACCEPT_FROM, `"${words[0] ?? ''}" stands alone, without other values`);
  return words[0] === 'any' ? 'any' : [];
}

export function readBid(settings: SettingReader): BidConfig {
  const min = settings.durationMs('Compute.JobTimeouts.Min');
  const stated = settings.durationMs('Compute.JobTimeouts.Max');
  const max =
    !settings.isSet('Compute.JobTimeouts.Max') || stated >= NO_TIMEOUT_SECONDS * 1000 ? Infinity : stated;
  const wanted = settings.durationMs('Compute.JobTimeouts.Default');
  // Who narrows the range must not have to move the default into it as well.
  const standard = settings.isSet('Compute.JobTimeouts.Default')
    ? wanted
    : Math.max(min, Math.min(max, wanted));
  if (max < min) {
    settings.fault(
      'Compute.JobTimeouts.Max',
      'the longest execution timeout is below the shortest (Compute.JobTimeouts.Min)',
    );
  } else if (standard < min || standard > max) {
    settings.fault(
      'Compute.JobTimeouts.Default',
      'the default execution timeout is not between the shortest (Compute.JobTimeouts.Min) and the longest (Compute.JobTimeouts.Max)',
    );
  }
  const probeTimeoutMs = settings.durationMs('JobAdmissionControl.ProbeTimeout');
  if (probeTimeoutMs < SHORTEST_PROBE_MS || probeTimeoutMs > LONGEST_PROBE_MS) {
    settings.fault('JobAdmissionControl.ProbeTimeout', 'is not between 10ms and 10m');
  }
  return {
    acceptBidsFrom: readAcceptFrom(settings),
    probeExec: settings.text('JobAdmissionControl.ProbeExec'),
    probeHttp: settings.text('JobAdmissionControl.ProbeHTTP'),
    probeTimeoutMs,
    probeConcurrency: settings.integer('JobAdmissionControl.ProbeConcurrency'),
    probeOnError: settings.text('JobAdmissionControl.ProbeOnError') === 'reject' ? 'reject' : 'transient',
    approvalTimeoutMs: settings.durationMs('JobAdmissionControl.ApprovalTimeout'),
    approver: settings.text('JobAdmissionControl.Approver').trim().toLowerCase(),
    probePath: settings.hostEnv(['PATH'])['PATH'] ?? STANDARD_PATH,
    locality: settings.text('JobAdmissionControl.Locality') === 'anywhere' ? 'anywhere' : 'local',
    rejectStateless: settings.boolean('JobAdmissionControl.RejectStatelessJobs'),
    acceptNetworked: settings.boolean('JobAdmissionControl.AcceptNetworkedJobs'),
    minExecutionTimeoutMs: min,
    maxExecutionTimeoutMs: max,
    defaultExecutionTimeoutMs: standard,
    timeoutBypass: settings.list('Compute.JobTimeouts.BypassList'),
  };
}
