import type { Command } from 'commander';
import { type CommandModules, command } from '../shared.ts';
import { jobLogs, jobStop } from './control.ts';
import { jobDescribe } from './describe.ts';
import { jobExecutions, jobHistory, jobVersions } from './details.ts';
import { jobGet } from './get.ts';
import { jobList } from './list.ts';
import { jobRerun, jobRun, jobValidate } from './run.ts';

export function jobCommand(modules: CommandModules): Command {
  const job = command('job', 'Submit jobs and look at them', []);
  for (const make of [
    jobRun,
    jobList,
    jobDescribe,
    jobExecutions,
    jobHistory,
    jobLogs,
    jobGet,
    jobStop,
    jobValidate,
    jobVersions,
    jobRerun,
  ]) {
    job.addCommand(make(modules));
  }
  return job;
}
