import Docker from 'dockerode';
import { dockerJob } from '../../test/support/jobs.ts';
import { type Scope, startTestNode } from '../../test/support/node.ts';
import { startDocker } from '../../test/support/services/docker.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { bodyOf } from '../support/bursts.ts';
import { load } from '../support/processes.ts';

const COUNT = 60;
const AT_ONCE = [4, 8, 16] as const;
/** Alone, by turns with the bare loop: what else the machine does falls on both. */
const TURNS = 4;
const ALONE_A_TURN = 6;
/** Enough for the node to have compiled what a job runs. */
const WARM_UP = 16;
/** A look takes the node half a millisecond, of which the bare loop has none. */
const LOOK_EVERY_MS = 50;
/** Little enough that the engine decides how many run at once, and not the node's capacity. */
const ASKED = { CPU: '100m', Memory: '16mb' } as const;
/** The same as the engine takes them: starting a container counts for its share of a core, too. */
const LIMITS = { NanoCpus: 100_000_000, Memory: 16_000_000 } as const;
const COMMAND = ['true'];

/** A container without network, as one asks for it. */
const PLAIN = { HostConfig: { NetworkMode: 'none', ...LIMITS } } as const;
/** As the node asks for it. */
const AS_THE_NODE = { NetworkDisabled: true, ...PLAIN } as const;

/** Makes containers by dockerode and nothing else. */
interface Bare {
  readonly docker: Docker;
  readonly image: string;
}

/** Containers through the node, beside containers by dockerode and nothing else. */
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
    const bare = { docker: new Docker({ socketPath: host.replace(/^unix:\/\//, '') }), image };
    const plain = await best(bare, PLAIN);
    const same = await best(bare, AS_THE_NODE);
    return [await throughNode(scope, host, image, { plain, same }), await alone(scope, host, bare)];
  },
};

interface Rate {
  readonly atOnce: number;
  readonly perSecond: number;
}

/** At the concurrency that suits the engine best. */
async function best(bare: Bare, options: object): Promise<Rate> {
  const rates: Rate[] = [];
  for (const atOnce of AT_ONCE) rates.push({ atOnce, perSecond: await bareRate(bare, options, atOnce) });
  return rates.reduce((most, rate) => (rate.perSecond > most.perSecond ? rate : most));
}

/** One container after another in each of `atOnce` lanes. Containers a second. */
async function bareRate(bare: Bare, options: object, atOnce: number): Promise<number> {
  let left = COUNT;
  const started = performance.now();
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await bareContainer(bare, options);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return (COUNT * 1000) / (performance.now() - started);
}

async function bareContainer({ docker, image }: Bare, options: object): Promise<void> {
  const container = await docker.createContainer({ Image: image, Cmd: COMMAND, ...options });
  await container.start();
  // Asked for before the start, it would answer at once: a container that was never started does not run.
  await container.wait();
  await container.remove({ force: true });
}

async function throughNode(
  scope: Scope,
  host: string,
  image: string,
  bare: { readonly plain: Rate; readonly same: Rate },
): Promise<Figure> {
  const node = await startTestNode(scope, { env: { DOCKER_HOST: host } });
  const result = await load({
    kind: 'burst',
    origin: node.apiUrl,
    serverPid: node.pid,
    warmUp: WARM_UP,
    body: bodyOf(dockerJob(image, COMMAND, { resources: ASKED })),
    count: COUNT,
    connections: 16,
    untilCompleted: true,
    lookEveryMs: LOOK_EVERY_MS,
  });
  await node.stop();
  const rate = COUNT / result.seconds;
  const same = `${bare.same.perSecond.toFixed(1)}/s by dockerode, ${bare.same.atOnce} at once (${((100 * rate) / bare.same.perSecond).toFixed(0)} %)`;
  return {
    what: `${COUNT} Docker jobs, submitted at once`,
    value: rate,
    unit: 'jobs/s',
    limit: { what: `bare dockerode, ${bare.plain.atOnce} at once`, value: bare.plain.perSecond },
    note: `containers made as the node makes them: ${same}; server CPU each ${(result.serverCpuMicros / COUNT / 1000).toFixed(1)} ms, without the engine's`,
  };
}

async function alone(scope: Scope, host: string, bare: Bare): Promise<Figure> {
  const node = await startTestNode(scope, { env: { DOCKER_HOST: host } });
  const order = { kind: 'alone', origin: node.apiUrl, lookEveryMs: 2 } as const;
  const body = bodyOf(dockerJob(bare.image, COMMAND, { resources: ASKED }));
  // The first ones find the image and start threads.
  await load({ ...order, body, count: ALONE_A_TURN });
  const through: number[] = [];
  const plain: number[] = [];
  const same: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    plain.push(...(await timed(bare, PLAIN)));
    same.push(...(await timed(bare, AS_THE_NODE)));
    through.push(...(await load({ ...order, body, count: ALONE_A_TURN })).milliseconds);
  }
  return {
    what: 'one Docker job alone, p50',
    value: median(through),
    unit: 'ms',
    limit: { what: 'bare dockerode alone', value: median(plain) },
    note: `containers made as the node makes them: ${median(same).toFixed(0)} ms by dockerode`,
  };
}

async function timed(bare: Bare, options: object): Promise<number[]> {
  const milliseconds: number[] = [];
  while (milliseconds.length < ALONE_A_TURN) {
    const started = performance.now();
    await bareContainer(bare, options);
    milliseconds.push(performance.now() - started);
  }
  return milliseconds;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
