import { readFile } from 'node:fs/promises';
import { Client, type Dispatcher } from 'undici';
import { parsePrometheus, sample } from '../../test/support/prometheus.ts';
import type { AloneResult, BurstResult, LoadOrder } from './load-protocol.ts';

/*
 * The load comes from this process of its own, and is made of little: request bytes are built once, answers are
 * not parsed but for the last, completion is looked for where it costs the server least.
 */

const JOBS = '/api/v1/orchestrator/jobs';
const DEADLINE_MS = 300_000;
const LOOK_EVERY_MS = 5;
const BUSY_MS = 5;
/** Linux counts the CPU time of processes in these (USER_HZ). */
const TICK_MICROS = 10_000;
const HEADERS = ['content-type', 'application/json'];

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** One request by undici's lowest interface. */
function send(
  client: Client,
  method: Dispatcher.HttpMethod,
  path: string,
  body: Buffer | null,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let status = 0;
    const chunks: Buffer[] = [];
    client.dispatch(
      { path, method, body, headers: body === null ? null : HEADERS },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_, code) => {
          status = code;
        },
        onResponseData: (_, chunk) => void chunks.push(chunk),
        onResponseEnd: () => resolve({ status, body: Buffer.concat(chunks) }),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

/** Submits until the server takes it; the answer, and how often it was busy. */
async function submit(client: Client, body: Buffer): Promise<{ answer: Answer; refused: number }> {
  for (let refused = 0; ; refused += 1) {
    const answer = await send(client, 'PUT', JOBS, body);
    if (answer.status === 200) return { answer, refused };
    if (answer.status !== 503)
      throw new Error(`the server answered ${answer.status}: ${String(answer.body)}`);
    await pause(BUSY_MS);
  }
}

function jobId(answer: Answer): string {
  const { JobID } = JSON.parse(answer.body.toString()) as { JobID?: string };
  if (JobID === undefined) throw new Error(`no job in the answer: ${String(answer.body)}`);
  return JobID;
}

async function isCompleted(client: Client, id: string): Promise<boolean> {
  const { status, body } = await send(client, 'GET', `${JOBS}/${id}`, null);
  if (status !== 200) throw new Error(`GET ${id}: ${status} ${String(body)}`);
  const { Job } = JSON.parse(body.toString()) as { Job: { State: { StateType: unknown; Message: string } } };
  const { StateType, Message } = Job.State;
  if (StateType === 'Failed' || StateType === 'Stopped') throw new Error(`${id}: ${StateType} ${Message}`);
  return StateType === 'Completed';
}

async function completedJobs(client: Client): Promise<number> {
  const { body } = await send(client, 'GET', '/metrics', null);
  return sample(parsePrometheus(body.toString()), 'bacalhau_jobs', { state: 'Completed' });
}

async function cpuMicros(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  // After the command in brackets: fields 14 and 15 are user and system time (proc(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

async function burst(order: LoadOrder & { kind: 'burst' }): Promise<BurstResult> {
  const clients = Array.from({ length: order.connections }, () => new Client(order.origin));
  try {
    await round(clients, order.warmUp, order);
    return await round(clients, order.count, order);
  } finally {
    await Promise.all(clients.map((client) => client.destroy()));
  }
}

async function round(
  clients: readonly Client[],
  count: number,
  { body: text, serverPid, untilCompleted }: LoadOrder & { kind: 'burst' },
): Promise<BurstResult> {
  const [client] = clients;
  if (client === undefined) throw new Error('no connections');
  const body = Buffer.from(text);
  const before = untilCompleted ? await completedJobs(client) : 0;
  const cpuBefore = await cpuMicros(serverPid);
  const loadBefore = process.cpuUsage();
  const started = performance.now();
  let left = count;
  let refused = 0;
  let last: Answer | undefined;
  const lane = async (own: Client): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const done = await submit(own, body);
      refused += done.refused;
      last = done.answer;
    }
  };
  await Promise.all(clients.map(lane));
  const answered = performance.now();
  const load = process.cpuUsage(loadBefore);
  if (untilCompleted && last !== undefined) {
    const id = jobId(last);
    while (!(await isCompleted(client, id))) await lookAgain(started);
    while ((await completedJobs(client)) < before + count) await lookAgain(started);
  }
  const ended = performance.now();
  return {
    answeredSeconds: (answered - started) / 1000,
    seconds: (ended - started) / 1000,
    refused,
    serverCpuMicros: (await cpuMicros(serverPid)) - cpuBefore,
    loadCpuMicros: load.user + load.system,
  };
}

async function lookAgain(started: number): Promise<void> {
  if (performance.now() - started > DEADLINE_MS) throw new Error(`not done after ${DEADLINE_MS / 1000} s`);
  await pause(LOOK_EVERY_MS);
}

async function alone(order: LoadOrder & { kind: 'alone' }): Promise<AloneResult> {
  const client = new Client(order.origin);
  const body = Buffer.from(order.body);
  const milliseconds: number[] = [];
  while (milliseconds.length < order.count) {
    const started = performance.now();
    const id = jobId((await submit(client, body)).answer);
    while (!(await isCompleted(client, id)));
    milliseconds.push(performance.now() - started);
  }
  await client.destroy();
  return { milliseconds };
}

const order = JSON.parse(process.argv[2] ?? '') as LoadOrder;
console.log(JSON.stringify(order.kind === 'burst' ? await burst(order) : await alone(order)));
