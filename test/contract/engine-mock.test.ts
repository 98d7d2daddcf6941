import { MockEngine } from '../../src/engines/mock/engine.ts';
import { type ContractJob, engineContract } from './engine.ts';

function params(job: ContractJob): Record<string, unknown> {
  switch (job.kind) {
    case 'print':
      return { Stdout: job.stdout, Stderr: job.stderr, ExitCode: job.exitCode };
    case 'bytes':
      return { OutputBytes: job.count };
    case 'env':
      return { PrintEnv: [job.name] };
    case 'hang':
      return { Stdout: 'started\n', Duration: '1h' };
  }
}

engineContract('mock', () =>
  Promise.resolve({
    engine: new MockEngine(),
    parts: (job) => ({ engine: 'mock', params: params(job) }),
    isGone: () => Promise.resolve(true),
  }),
);
