import { containersOf, dockerEngine, NO_DOCKER, testDocker } from '../support/docker.ts';
import { type ContractJob, engineContract } from './engine.ts';

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function script(job: ContractJob): string {
  switch (job.kind) {
    case 'print':
      return `printf %s ${quote(job.stdout)}; printf %s ${quote(job.stderr)} >&2; exit ${job.exitCode}`;
    case 'bytes':
      // Seven bytes a write, so that no read of the stream is all of it.
      return `yes 123456 | dd bs=7 count=${Math.ceil(job.count / 7)} 2>/dev/null | head -c ${job.count}`;
    case 'env':
      return `env | grep '^${job.name}='`;
    case 'hang':
      return 'echo started; sleep 3600';
  }
}

engineContract('docker', async (t) => {
  const test = testDocker();
  if (test === undefined) return { skip: NO_DOCKER };
  return {
    engine: dockerEngine(t, test),
    parts: (job) => ({
      engine: 'docker',
      params: { Image: test.image, Entrypoint: ['sh'], Parameters: ['-c', script(job)] },
    }),
    isGone: async (request) => (await containersOf(test, request)).length === 0,
  };
});
