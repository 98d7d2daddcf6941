import { nanoseconds } from '../../../core/clock.ts';
import type { LocalExecutionView } from '../../../core/ports.ts';
import { jobSpecToWire } from './job.ts';

/** An execution as its compute node sees it. Not part of Bacalhau's API. Times in nanoseconds. */
export interface LocalExecutionWire {
  ExecutionID: string;
  JobID: string;
  RequesterID: string;
  State: string;
  Stage: string;
  Attempts: number;
  Comment: string;
  CreateTime: number;
  UpdateTime: number;
  /** As it was submitted: without state, version and times. */
  Job: ReturnType<typeof jobSpecToWire>;
}

/** An execution as `GET compute/executions` shows it. */
export function localExecutionToWire(view: LocalExecutionView): LocalExecutionWire {
  return {
    ExecutionID: view.executionId,
    JobID: view.jobId,
    RequesterID: view.requesterId,
    State: view.state,
    Stage: view.stage,
    Attempts: view.attempts,
    Comment: view.comment,
    CreateTime: nanoseconds(view.createTime),
    UpdateTime: nanoseconds(view.updateTime),
    Job: jobSpecToWire(view.job),
  };
}
