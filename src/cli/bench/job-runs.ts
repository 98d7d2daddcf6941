import { isJobTerminal, type JobState, jobTransitions } from '../../core/states.ts';
import type { ApiClient } from '../client.ts';
import { JOBS_PATH } from '../submit.ts';
import { type Wire, wireText } from '../wire.ts';
import { BenchHttp } from './bench-http.ts';
import { type BenchEngine, benchSubmission } from './bench-job.ts';
import { EventSubscriber } from './event-subscriber.ts';
import { Latencies } from './latencies.ts';

/** Ends of jobs that are not waited for yet: the event may come before the answer to the submission. */
const MOST_EARLY = 65_536;

/** Submits jobs one by one and hears of their ends by the node's events. */
export class JobRuns {
  readonly #http: BenchHttp;
  readonly #body: Uint8Array;
  readonly #waiting = new Map<string, (state: string) => void>();
  readonly #early = new Map<string, string>();
  #stream: EventSubscriber | undefined;
  #lost: Error | undefined;
  /** Until the submission was acknowledged. */
  readonly acknowledged: Latencies = new Latencies();

  private constructor(http: BenchHttp, engine: BenchEngine) {
    this.#http = http;
    this.#body = benchSubmission(engine);
  }

  /** @throws NodeError NodeUnreachable, RequestFailed */
  static async begin(
    client: ApiClient,
    options: { readonly engine: BenchEngine; readonly connections: number },
  ): Promise<JobRuns> {
    await client.get('/api/v1/agent/alive');
    const runs = new JobRuns(new BenchHttp(client, options), options.engine);
    try {
      runs.#stream = await EventSubscriber.open(client, '?type=job&role=requester', {
        onEvents: (events) => {
          for (const event of events) runs.#heard(event);
        },
        onLost: (error) => runs.#fail(error),
      });
    } catch (thrown) {
      await runs.end();
      throw thrown;
    }
    return runs;
  }

  /** Submits one. @throws NodeError RequestFailed with the node's words */
  async submit(): Promise<{ readonly id: string; readonly sentMs: number; readonly answeredMs: number }> {
    const sentMs = performance.now();
    const reply = await this.#http.send('PUT', JOBS_PATH, this.#body);
    const answeredMs = performance.now();
    this.acknowledged.record(answeredMs - sentMs);
    return { id: wireText(reply['JobID']), sentMs, answeredMs };
  }

  /** Submits one and waits for its end: "ok", or the state it ended in. */
  async run(): Promise<string> {
    const { id } = await this.submit();
    const state = this.#early.get(id) ?? (await this.#end(id));
    this.#early.delete(id);
    return state === 'Completed' ? 'ok' : state.toLowerCase();
  }

  async end(): Promise<void> {
    this.#stream?.close();
    await this.#http.close();
  }

  #end(id: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) reject(this.#lost);
      else this.#waiting.set(id, resolve);
    });
  }

  #heard(event: Wire): void {
    const state = wireText(event['to']);
    if (!Object.hasOwn(jobTransitions, state) || !isJobTerminal(state as JobState)) return;
    const id = wireText(event['jobID']);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting !== undefined) {
      waiting(state);
      return;
    }
    this.#early.set(id, state);
    const [oldest] = this.#early.keys();
    if (this.#early.size > MOST_EARLY && oldest !== undefined) this.#early.delete(oldest);
  }

  #fail(error: Error): void {
    this.#lost = error;
    for (const resolve of this.#waiting.values()) resolve('lost');
    this.#waiting.clear();
  }
}
