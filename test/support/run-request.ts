import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newExecutionId, newJobId } from '../../src/core/ids.ts';
import type { Resources, Task } from '../../src/core/job.ts';
import type {
  PreparedInput,
  RunContext,
  RunReport,
  RunRequest,
  StopReason,
} from '../../src/engines/engine.ts';
import type { Scope } from './node.ts';

/** What a test says of a run; the rest is filled in. */
export interface RunRequestParts {
  readonly engine: string;
  readonly params?: Record<string, unknown>;
  readonly task?: Partial<Task>;
  readonly inputs?: readonly PreparedInput[];
  readonly env?: Readonly<Record<string, string>>;
  readonly resources?: Partial<Resources>;
  readonly publisher?: string;
  readonly maxStreamBytes?: number;
  readonly maxResultBytes?: number;
  /** Nobody has made a folder for it. */
  readonly fileless?: boolean;
}

const MIB = 1024 * 1024;

/** A run request with a folder of its own, result folders made; removed with the scope. */
export async function runRequest(scope: Scope, parts: RunRequestParts): Promise<RunRequest> {
  const directory = await mkdtemp(join(tmpdir(), 'bacalhau-run-'));
  scope.after(() => rm(directory, { recursive: true, force: true }));
  const resultsDirectory = join(directory, 'results');
  if (parts.fileless !== true) await mkdir(resultsDirectory);
  for (const path of parts.task?.ResultPaths ?? []) {
    await mkdir(join(resultsDirectory, path.Name), { mode: 0o777 });
  }
  const jobId = newJobId();
  const executionId = newExecutionId();
  const resources: Resources = { cpu: 0.5, memory: 256 * MIB, disk: 64 * MIB, gpu: 0, ...parts.resources };
  return {
    header: {
      executionId,
      jobId,
      jobVersion: 1,
      requesterId: 'requester',
      namespace: 'default',
      jobType: 'batch',
      priority: 0,
      engine: parts.engine,
      publisher: parts.publisher ?? 'local',
      resources,
      executionTimeoutMs: 0,
      queueTimeoutMs: 0,
      totalTimeoutMs: 0,
      fileless: parts.fileless ?? false,
    },
    spec: {
      ID: jobId,
      Name: 'test',
      Namespace: 'default',
      Type: 'batch',
      Priority: 0,
      Count: 1,
      Constraints: [],
      Meta: {},
      Labels: {},
      Tasks: [
        {
          Name: 'main',
          Engine: { Type: parts.engine, Params: parts.params ?? {} },
          Publisher: { Type: '' },
          Resources: {},
          Network: { Type: 'None' },
          Timeouts: {},
          ...parts.task,
        },
      ],
    },
    placement: { directory, gpus: [] },
    inputs: parts.inputs ?? [],
    resultsDirectory,
    gpus: [],
    env: parts.env ?? {},
    maxStreamBytes: parts.maxStreamBytes ?? 4 * MIB,
    maxResultBytes: parts.maxResultBytes ?? 16 * MIB,
  };
}

/** A run context that remembers reports, can be stopped, and tells when a report of a kind arrives. */
export interface RecordingContext extends RunContext {
  readonly reports: readonly RunReport[];
  stop(reason: StopReason): void;
  /** Resolves with the next (or an earlier) report of this kind. */
  seen(kind: RunReport['kind']): Promise<RunReport>;
}

export function recordingContext(): RecordingContext {
  const controller = new AbortController();
  const reports: RunReport[] = [];
  const waiting = new Set<(report: RunReport) => void>();
  return {
    signal: controller.signal,
    reports,
    report(report) {
      reports.push(report);
      for (const check of waiting) check(report);
    },
    stop: (reason) => controller.abort(reason),
    seen(kind) {
      const earlier = reports.find((report) => report.kind === kind);
      if (earlier !== undefined) return Promise.resolve(earlier);
      return new Promise((resolve) => {
        const check = (report: RunReport): void => {
          if (report.kind !== kind) return;
          waiting.delete(check);
          resolve(report);
        };
        waiting.add(check);
      });
    },
  };
}
