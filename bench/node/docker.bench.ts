import Docker from 'dockerode';
import { dockerJob } from '../../test/support/jobs.ts';
import { type Scope, startTestNode } from '../../test/support/node.ts';
import { startDocker } from '../../test/support/services/docker.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { bodyOf } from '../support/bursts.ts';
import { load } from '../support/processes.ts';

const COUNT = 40;
const ALONE = 8;
const AT_ONCE = [2, 4, 8] as const;
/** Little enough that the engine decides how many run at once, and not the node's capacity. */
const ASKED = { CPU: '100m', Memory: '16mb' } as const;
/** The same as the engine takes them: starting a container counts for its share of a core, too. */
const LIMITS = { NanoCpus: 100_000_000, Memory: 16_000_000 } as const;
const COMMAND = ['true'];

/** Containers through the node, beside the same containers by dockerode and nothing else. */
export const dockerBench: Bench = {
  name: 'docker',
  doc: 'Docker jobs beside a bare loop of dockerode over the same engine, which is started for it (a minute, root)',
  onlyByName: true,
  run: async (_, scope) => {
    const service = await startDocker();
    if ('skip' in service) {
      console.log(`SKIPPED: ${service.skip}`);
      return [];
    }
    scope.after(() => service.stop());
    const host = service.env['BACALHAU_TEST_DOCKER_HOST'] ?? '';
    const image = service.env['BACALHAU_TEST_DOCKER_IMAGE'] ?? '';
    const docker = new Docker({ socketPath: host.replace(/^unix:\/\//, '') });
    const raw: [number, number][] = [];
    for (const atOnce of AT_ONCE) raw.push([atOnce, await rawRate(docker, image, COUNT, atOnce)]);
    const [atOnce, best] = raw.toSorted(([, a], [, b]) => b - a)[0] ?? [0, 0];
    const rawAloneMs = 1000 / (await rawRate(docker, image, ALONE, 1));
    return [
      ...(await throughNode(scope, host, image, { atOnce, best })),
      await alone(scope, host, image, rawAloneMs),
    ];
  },
};

/** One container after another in each of `atOnce` lanes. Containers a second. */
async function rawRate(docker: Docker, image: string, count: number, atOnce: number): Promise<number> {
  let left = count;
  const started = performance.now();
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const container = await docker.createContainer({
        Image: image,
        Cmd: COMMAND,
        HostConfig: { NetworkMode: 'none', ...LIMITS },
      });
      const ended = container.wait();
      await container.start();
      await ended;
      await container.remove({ force: true });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return (count * 1000) / (performance.now() - started);
}

async function throughNode(
  scope: Scope,
  host: string,
  image: string,
  raw: { readonly atOnce: number; readonly best: number },
): Promise<Figure[]> {
  const node = await startTestNode(scope, { env: { DOCKER_HOST: host } });
  const order = { kind: 'burst', origin: node.apiUrl, serverPid: node.pid, warmUp: 4 } as const;
  const body = bodyOf(dockerJob(image, COMMAND, { resources: ASKED }));
  const result = await load({ ...order, body, count: COUNT, connections: 16, untilCompleted: true });
  await node.stop();
  return [
    {
      what: `${COUNT} Docker jobs, submitted at once`,
      value: COUNT / result.seconds,
      unit: 'jobs/s',
      limit: { what: `raw dockerode, ${raw.atOnce} at once`, value: raw.best },
      note: `server CPU each ${(result.serverCpuMicros / COUNT / 1000).toFixed(1)} ms, without the engine's`,
    },
  ];
}

async function alone(scope: Scope, host: string, image: string, rawMs: number): Promise<Figure> {
  const node = await startTestNode(scope, { env: { DOCKER_HOST: host } });
  const body = bodyOf(dockerJob(image, COMMAND, { resources: ASKED }));
  const { milliseconds } = await load({
    kind: 'alone',
    origin: node.apiUrl,
    body,
    count: ALONE + 1,
    lookEveryMs: 5,
  });
  // The first one finds the image and starts threads.
  const sorted = milliseconds.slice(1).toSorted((a, b) => a - b);
  return {
    what: 'one Docker job alone, p50',
    value: sorted[Math.floor(ALONE / 2)] ?? 0,
    unit: 'ms',
    limit: { what: 'raw dockerode alone', value: rawMs },
  };
}
