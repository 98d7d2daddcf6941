import { nanoseconds } from '../../../core/clock.ts';
import type { RunCommandResult, SpecConfig } from '../../../core/job.ts';
import { type ResourcesWire, resourcesToWire } from '../../../core/resources.ts';
import { computeStateCodes, desiredStateCodes } from '../../../core/states.ts';
import type { JobView } from '../../../requester/service.ts';
import type { RequesterExecution } from '../../../store/records.ts';
import { type JobWire, jobToWire, type StateWire, specToWire, stateToWire } from './job.ts';

/** Execution of v1.9. States are integers; times in nanoseconds. */
export interface ExecutionWire {
  ID: string;
  Namespace: string;
  EvalID: string;
  Name: string;
  NodeID: string;
  JobID: string;
  Job?: JobWire;
  JobVersion: number;
  AllocatedResources: { Tasks: Record<string, ResourcesWire> };
  DesiredState: StateWire<number>;
  ComputeState: StateWire<number>;
  PublishedResult: SpecConfig;
  RunOutput: RunCommandResult;
  PreviousExecution: string;
  NextExecution: string;
  FollowupEvalID: string;
  Revision: number;
  CreateTime: number;
  ModifyTime: number;
}

/** What v1.9 shows of an execution that has not run. */
const NO_OUTPUT: RunCommandResult = {
  Stdout: '',
  StdoutTruncated: false,
  stderr: '',
  StderrTruncated: false,
  ExitCode: 0,
  ErrorMsg: '',
};

/** An execution as `GET jobs/:id/executions` shows it. @param job the version that it belongs to */
export function executionToWire(execution: RequesterExecution, job: JobView | undefined): ExecutionWire {
  const resources = resourcesToWire(execution.resources);
  const task = job?.spec.Tasks[0].Name ?? '';
  const allocated = task !== '' && Object.keys(resources).length > 0;
  return {
    ID: execution.id,
    Namespace: execution.namespace,
    EvalID: execution.evaluationId,
    Name: execution.name,
    NodeID: execution.nodeId,
    JobID: execution.jobId,
    ...(job === undefined ? {} : { Job: jobToWire(job) }),
    JobVersion: execution.jobVersion,
    AllocatedResources: { Tasks: allocated ? { [task]: resources } : {} },
    DesiredState: stateToWire(desiredStateCodes[execution.desiredState.type], execution.desiredState),
    ComputeState: stateToWire(computeStateCodes[execution.computeState.type], execution.computeState),
    PublishedResult: specToWire(execution.published),
    RunOutput: execution.runOutput ?? NO_OUTPUT,
    PreviousExecution: '',
    NextExecution: '',
    FollowupEvalID: '',
    Revision: execution.revision,
    CreateTime: nanoseconds(execution.createTime),
    ModifyTime: nanoseconds(execution.modifyTime),
  };
}
