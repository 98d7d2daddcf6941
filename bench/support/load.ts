import { readFile } from 'node:fs/promises';
import { parsePrometheus, sample } from '../../test/support/prometheus.ts';
import { type Answer, Connection, requestBytes } from './connection.ts';
import type { AloneResult, BurstResult, LoadOrder } from './load-protocol.ts';

/*
 * The load comes from this process of its own, and is made of little: request bytes are built once, answers are
 * not parsed but for the last, completion is looked for where it costs the server least.
 */

const JOBS = '/api/v1/orchestrator/jobs';
const METRICS = requestBytes('GET', '/metrics');
const DEADLINE_MS = 300_000;
const LOOK_EVERY_MS = 5;
const BUSY_MS = 5;
/** Linux counts the CPU time of processes in these (USER_HZ). */
const TICK_MICROS = 10_000;

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Submits until the server takes it; the answer, and how often it was busy. */
async function submit(connection: Connection, request: Buffer): Promise<{ answer: Answer; refused: number }> {
  for (let refused = 0; ; refused += 1) {
    const answer = await connection.send(request);
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

async function isCompleted(connection: Connection, id: string): Promise<boolean> {
  const { status, body } = await connection.send(requestBytes('GET', `${JOBS}/${id}`));
  if (status !== 200) throw new Error(`GET ${id}: ${status} ${String(body)}`);
  const { Job } = JSON.parse(body.toString()) as { Job: { State: { StateType: unknown; Message: string } } };
  const { StateType, Message } = Job.State;
  if (StateType === 'Failed' || StateType === 'Stopped') throw new Error(`${id}: ${StateType} ${Message}`);
  return StateType === 'Completed';
}

async function completedJobs(connection: Connection): Promise<number> {
  const { body } = await connection.send(METRICS);
  return sample(parsePrometheus(body.toString()), 'bacalhau_jobs', { state: 'Completed' });
}

/** Of a process, or of one of its threads: the main one has the process's own id. */
async function cpuMicros(pid: number, thread?: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/${thread === undefined ? '' : `task/${thread}/`}stat`, 'utf8');
  // After the command in brackets: fields 14 and 15 are user and system time (proc(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

async function burst(order: LoadOrder & { kind: 'burst' }): Promise<BurstResult> {
  const connections = await Promise.all(
    Array.from({ length: order.connections }, () => Connection.open(order.origin)),
  );
  try {
    await round(connections, order.warmUp, order);
    return await round(connections, order.count, order);
  } finally {
    for (const connection of connections) connection.close();
  }
}

async function round(
  connections: readonly Connection[],
  count: number,
  { body, serverPid, untilCompleted, lookEveryMs }: LoadOrder & { kind: 'burst' },
): Promise<BurstResult> {
  const [first] = connections;
  if (first === undefined) throw new Error('no connections');
  const request = requestBytes('PUT', JOBS, body);
  const before = untilCompleted ? await completedJobs(first) : 0;
  const cpuBefore = await cpuMicros(serverPid);
  const mainBefore = await cpuMicros(serverPid, serverPid);
  const loadBefore = process.cpuUsage();
  const started = performance.now();
  let left = count;
  let refused = 0;
  let last: Answer | undefined;
  const lane = async (own: Connection): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const done = await submit(own, request);
      refused += done.refused;
      last = done.answer;
    }
  };
  await Promise.all(connections.map(lane));
  const answered = performance.now();
  const load = process.cpuUsage(loadBefore);
  if (untilCompleted && last !== undefined) {
    const id = jobId(last);
    while (!(await isCompleted(first, id))) await lookAgain(started, lookEveryMs);
    while ((await completedJobs(first)) < before + count) await lookAgain(started, lookEveryMs);
  }
  const ended = performance.now();
  return {
    answeredSeconds: (answered - started) / 1000,
    seconds: (ended - started) / 1000,
    refused,
    serverCpuMicros: (await cpuMicros(serverPid)) - cpuBefore,
    mainThreadMicros: (await cpuMicros(serverPid, serverPid)) - mainBefore,
    loadCpuMicros: load.user + load.system,
  };
}

async function lookAgain(started: number, afterMs: number = LOOK_EVERY_MS): Promise<void> {
  if (performance.now() - started > DEADLINE_MS) throw new Error(`not done after ${DEADLINE_MS / 1000} s`);
  await pause(afterMs);
}

async function alone(order: LoadOrder & { kind: 'alone' }): Promise<AloneResult> {
  const connection = await Connection.open(order.origin);
  const request = requestBytes('PUT', JOBS, order.body);
  const milliseconds: number[] = [];
  while (milliseconds.length < order.count) {
    const started = performance.now();
    const id = jobId((await submit(connection, request)).answer);
    while (!(await isCompleted(connection, id))) {
      if (order.lookEveryMs !== undefined) await pause(order.lookEveryMs);
    }
    milliseconds.push(performance.now() - started);
  }
  connection.close();
  return { milliseconds };
}

const order = JSON.parse(process.argv[2] ?? '') as LoadOrder;
console.log(JSON.stringify(order.kind === 'burst' ? await burst(order) : await alone(order)));
