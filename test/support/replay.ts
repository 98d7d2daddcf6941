import { NodeError } from '../../src/core/errors.ts';
import type { JobSpec, SpecConfig } from '../../src/core/job.ts';
import type { LogChunk } from '../../src/core/ports.ts';
import type { ComputeState, DesiredState } from '../../src/core/states.ts';
import { computeStateCodes, desiredStateCodes } from '../../src/core/states.ts';
import type { JobView, NodeView } from '../../src/requester/service.ts';
import type { HistoryRow, RequesterExecution } from '../../src/store/records.ts';
import { exampleNode, exampleRecord, type ScriptedIngest, type ScriptedRequester } from './api-doubles.ts';
import type { RecordedExchange } from './recordings.ts';

/** Parts of the recorded bodies, as far as the doubles need them. */
interface StateBody<T> {
  StateType: T;
  Message?: string;
  Details?: Record<string, string>;
}
interface JobBody extends JobSpec {
  State: StateBody<JobView['record']['state']['type']>;
  Version: number;
  Revision: number;
  CreateTime: number;
  ModifyTime: number;
}
interface ExecutionBody {
  ID: string;
  Namespace: string;
  EvalID: string;
  Name: string;
  NodeID: string;
  JobID: string;
  Job: JobBody;
  JobVersion: number;
  DesiredState: StateBody<number>;
  ComputeState: StateBody<number>;
  PublishedResult: SpecConfig;
  RunOutput: RequesterExecution['runOutput'];
  Revision: number;
  CreateTime: number;
  ModifyTime: number;
}
interface HistoryBody {
  SeqNum: number;
  Type: string;
  JobID: string;
  JobVersion: number;
  ExecutionID?: string;
  Event: { Message: string; Topic: string; Details?: Record<string, string> };
  Time: string;
}
interface NodeBody {
  Info: { ComputeNodeInfo: { AvailableCapacity: { CPU: number; Memory: number; Disk: number } } };
}
interface Answer {
  Status?: number;
  Message?: string;
  NextToken?: string;
  Items?: unknown[];
  Nodes?: NodeBody[];
  Node?: NodeBody;
  Job?: JobBody;
  History?: { Items: HistoryBody[] };
  Executions?: { Items: ExecutionBody[] };
  JobID?: string;
  EvaluationID?: string;
}

function viewOf(job: JobBody): JobView {
  const { State, Version, Revision, CreateTime, ModifyTime, ...spec } = job;
  return {
    spec,
    record: {
      ...exampleRecord(job.ID),
      namespace: job.Namespace,
      state: {
        type: State.StateType,
        message: State.Message ?? '',
        ...(State.Details === undefined ? {} : { details: State.Details }),
      },
      version: Version,
      revision: Revision,
      createTime: Math.round(CreateTime / 1000),
      modifyTime: Math.round(ModifyTime / 1000),
    },
  };
}

function nameOf<T extends string>(codes: Readonly<Record<string, number>>, code: number): T {
  return Object.keys(codes).find((name) => codes[name] === code) as T;
}

function rowOf(body: ExecutionBody): RequesterExecution {
  return {
    id: body.ID,
    jobId: body.JobID,
    jobVersion: body.JobVersion,
    evaluationId: body.EvalID,
    namespace: body.Namespace,
    name: body.Name,
    nodeId: body.NodeID,
    computeState: {
      type: nameOf<ComputeState>(computeStateCodes, body.ComputeState.StateType),
      message: body.ComputeState.Message ?? '',
    },
    desiredState: {
      type: nameOf<DesiredState>(desiredStateCodes, body.DesiredState.StateType),
      message: body.DesiredState.Message ?? '',
    },
    resources: { cpu: 0.5, memory: 512_000_000, disk: 0, gpu: 0 },
    published: body.PublishedResult,
    runOutput: body.RunOutput,
    revision: body.Revision,
    createTime: Math.round(body.CreateTime / 1000),
    modifyTime: Math.round(body.ModifyTime / 1000),
  };
}

function historyOf(body: HistoryBody): HistoryRow & { seqNum: number } {
  return {
    seq: body.SeqNum,
    seqNum: body.SeqNum,
    time: Date.parse(body.Time) * 1000,
    role: 'requester',
    level: body.Type === 'JobLevel' ? 'job' : 'execution',
    jobId: body.JobID,
    jobVersion: body.JobVersion,
    executionId: body.ExecutionID ?? '',
    nodeId: '',
    from: '',
    to: '',
    topic: body.Event.Topic,
    message: body.Event.Message,
    details: body.Event.Details ?? {},
  };
}

function nodeOf(body: NodeBody): NodeView {
  const { CPU, Memory, Disk } = body.Info.ComputeNodeInfo.AvailableCapacity;
  const compute = exampleNode.compute;
  if (compute === null) throw new Error('the example node has a compute role');
  return {
    info: {
      ...exampleNode,
      compute: { ...compute, availableCapacity: { cpu: CPU, memory: Memory, disk: Disk, gpu: 0 } },
    },
    membership: 'APPROVED',
    connection: 'CONNECTED',
    disconnectedSince: 0,
    lastHeartbeat: 1_795_361_240_438_209,
    connectedSince: 1_795_361_240_438_209,
  };
}

/** The error that our roles raise where the recording answers so. */
function errorOf(exchange: RecordedExchange, answer: Answer): NodeError | undefined {
  if (exchange.status < 400) return undefined;
  const message = answer.Message ?? '';
  if (message.startsWith('job not found')) return new NodeError('JobNotFound', message);
  if (message.startsWith('no changes detected')) return new NodeError('JobUnchanged', message);
  return exchange.method === 'PUT' ? new NodeError('ValidationFailed', message) : undefined;
}

/** Sets the doubles up so that they know what the recorded node knew when it answered. */
export function replay(
  exchange: RecordedExchange,
  requester: ScriptedRequester,
  ingest: ScriptedIngest,
): void {
  const answer = (exchange.responseBody ?? {}) as Answer;
  const path = exchange.path.split('?')[0] ?? '';
  const error = errorOf(exchange, answer);
  requester.error = error;
  ingest.error = error;
  ingest.result = { jobId: answer.JobID ?? '', evaluationId: answer.EvaluationID ?? '', warnings: [] };
  requester.evaluationId = answer.EvaluationID ?? '';
  requester.more = answer.NextToken !== undefined && answer.NextToken !== '';
  requester.known = (answer.Nodes ?? (answer.Node === undefined ? [] : [answer.Node])).map(nodeOf);
  requester.views = answer.Job === undefined ? [] : [viewOf(answer.Job)];
  requester.page = { items: (answer.History?.Items ?? []).map(historyOf), nextOffset: undefined };
  let executions = answer.Executions?.Items ?? [];
  if (path.endsWith('/jobs') && exchange.method === 'GET') {
    requester.views = ((answer.Items ?? []) as JobBody[]).map(viewOf);
  } else if (path.endsWith('/executions')) executions = (answer.Items ?? []) as ExecutionBody[];
  else if (path.endsWith('/history')) {
    requester.page = { items: ((answer.Items ?? []) as HistoryBody[]).map(historyOf), nextOffset: undefined };
  } else if (path.endsWith('/results')) requester.published = (answer.Items ?? []) as SpecConfig[];
  requester.rows = executions.map(rowOf);
  if (requester.views.length === 0) requester.views = executions.map((execution) => viewOf(execution.Job));
  const frames = exchange.frames ?? [];
  requester.chunks = async function* (): AsyncIterable<LogChunk> {
    for (const { data } of frames) {
      const frame = data as { error?: string; value: { Type: number; Line: string } };
      if (frame.error !== undefined) throw new NodeError('JobNotFound', frame.error);
      yield { stream: frame.value.Type === 1 ? 'stdout' : 'stderr', text: frame.value.Line };
    }
  };
}
