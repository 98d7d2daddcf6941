import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { type Folders, makeFolders, type Spawned, serveArgs, spawnCommand } from './child.ts';
import type { CliRun } from './cli.ts';
import { API_PORT, type Site } from './namespaces.ts';
import { parsePrometheus } from './prometheus.ts';

/** Where a node belongs: a test's context, or `{ after }` of node:test for a whole suite. */
export interface Scope {
  after(cleanUp: () => unknown): void;
  /** False once the test has failed; then the node's output is printed. */
  readonly passed?: boolean;
}

export interface TestNodeOptions {
  /** After `serve`, on top of free ports and `--job-selection-data-locality anywhere`. */
  readonly flags?: readonly string[];
  /** On top of an environment without anything of Bacalhau or Docker. */
  readonly env?: Readonly<Record<string, string>>;
  /** Used as it is and kept; default: a new one that is removed in the end. */
  readonly dataDir?: string;
  /** Extra arguments of Node.js itself. */
  readonly execArgv?: readonly string[];
  /** How long the start may take. */
  readonly startMs?: number;
  /** Nothing after `serve` but `flags`: no ports, no data directory. */
  readonly bare?: boolean;
  /** The site it runs in (namespaces.ts); its API is then on the site's API port. */
  readonly site?: Pick<Site, 'inside' | 'address' | 'socketPath'>;
}

export interface ApiReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parsed where it is JSON, else text. */
  readonly body: unknown;
}

/** Anything of the wire. */
export type Wire = Readonly<Record<string, unknown>>;

/** A row of a job's history. */
export interface HistoryRow {
  readonly type: string;
  readonly topic: string;
  readonly message: string;
  readonly executionId: string;
  readonly details: Readonly<Record<string, string>>;
}

export interface ExecutionRow {
  readonly id: string;
  /** Code of `computeStateCodes`. */
  readonly state: number;
  readonly message: string;
  readonly stdout: string;
  readonly exitCode: number;
  readonly published: string;
}

/** One process of the product, run from dist/ where that is newer than src/, else from src/. */
export interface TestNode {
  readonly dataDir: string;
  /** Its os.tmpdir(): nothing else writes there. */
  readonly tmpDir: string;
  readonly pid: number;
  readonly nodeId: string;
  /** "http://127.0.0.1:port". */
  readonly apiUrl: string;
  /** As the banner shows them. */
  readonly swarmAddresses: readonly string[];
  /** Everything printed so far, of all lives. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  readonly alive: boolean;
  api(method: string, path: string, body?: unknown): Promise<ApiReply>;
  /** PUTs a job; repeats it as long as the node answers 503 with Retry-After. Returns the job's id. */
  submit(job: Wire): Promise<string>;
  /** State of a job: "Completed", "Running", … */
  jobState(id: string): Promise<{ state: string; message: string }>;
  history(id: string): Promise<readonly HistoryRow[]>;
  executions(id: string): Promise<readonly ExecutionRow[]>;
  /** Waits until the job has ended; its last state. */
  waitForJob(id: string, timeoutMs?: number): Promise<{ state: string; message: string }>;
  /** Asks again and again until the answer is not undefined or false. @throws Error that names `what` */
  waitUntil<T>(
    check: () => Promise<T | undefined | false> | T | undefined | false,
    what: string,
    timeoutMs?: number,
  ): Promise<T>;
  /** Every sample of /metrics: `name` or `name{label="value",…}` to its value. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Starts the command line against this node; what it prints can be watched. */
  startCli(args: readonly string[], options?: { env?: Record<string, string> }): Promise<Spawned>;
  /** Runs the command line against this node. */
  cli(args: readonly string[], options?: { stdin?: string; env?: Record<string, string> }): Promise<CliRun>;
  /** kill -9; resolves when the process is gone. */
  kill9(): Promise<void>;
  /** SIGTERM; resolves when the process is gone. */
  stop(): Promise<{ code: number | null; ms: number }>;
  /** Starts again on the same data directory, with `flags` and `env` in place of the former ones if given. */
  restart(options?: Pick<TestNodeOptions, 'flags' | 'env' | 'startMs'>): Promise<void>;
}

const START_MS = 30_000;
const READY = 'Press Ctrl+C to stop.';
const TAIL_LINES = 80;
const TERMINAL = new Set(['Completed', 'Failed', 'Stopped']);

/** The last lines of a text. */
function tail(text: string): string {
  return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until the answer is not undefined or false. @throws Error that names `what` after `timeoutMs` */
export async function waitUntil<T>(
  check: () => Promise<T | undefined | false> | T | undefined | false,
  what: string,
  timeoutMs = 20_000,
  everyMs = 10,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`in ${timeoutMs} ms it did not come true: ${what}`);
    await pause(everyMs);
  }
}

function siteFlags({ address }: Pick<Site, 'address'>): string[] {
  return ['--api-port', String(API_PORT), '--port', '1235', '--swarm-host', address];
}

class NodeProcess implements TestNode {
  readonly dataDir: string;
  readonly tmpDir: string;
  readonly output = { stdout: '', stderr: '' };
  nodeId = '';
  apiUrl = '';
  swarmAddresses: readonly string[] = [];
  readonly #folders: Folders;
  #options: TestNodeOptions;
  #spawned: Spawned | undefined;
  #agent: Agent | undefined;

  constructor(folders: Folders, options: TestNodeOptions) {
    this.#folders = folders;
    this.#options = options;
    this.dataDir = folders.dataDir;
    this.tmpDir = join(folders.home, 'tmp');
  }

  get pid(): number {
    return this.#spawned?.child.pid ?? 0;
  }

  get alive(): boolean {
    return this.#spawned?.child.exitCode === null && this.#spawned.child.signalCode === null;
  }

  async start(): Promise<void> {
    const { env = {}, execArgv = [], startMs = START_MS, site } = this.#options;
    const flags = [...(site === undefined ? [] : siteFlags(site)), ...(this.#options.flags ?? [])];
    const spawned = await spawnCommand(serveArgs(this.#folders, { ...this.#options, flags }), {
      folders: this.#folders,
      env,
      execArgv,
      ...(site === undefined ? {} : { inside: site.inside }),
    });
    this.#spawned = spawned;
    this.output.stdout = '';
    spawned.child.stdout?.on('data', (text: string) => {
      this.output.stdout += text;
    });
    spawned.child.stderr?.on('data', (text: string) => {
      this.output.stderr += text;
    });
    await waitUntil(
      () => spawned.printed.stdout.includes(READY) || !this.alive,
      'the node says that it runs',
      startMs,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${tail(spawned.printed.stderr)}`);
    });
    if (!this.alive) {
      await spawned.ended;
      throw new Error(`the node ended at its start:\n${tail(spawned.printed.stderr)}`);
    }
    const banner = spawned.printed.stdout;
    this.nodeId = /^ {2}Node +(\S+)/m.exec(banner)?.[1] ?? '';
    this.apiUrl = /^ {2}API +(\S+)/m.exec(banner)?.[1] ?? '';
    this.swarmAddresses = [...banner.matchAll(/^ {2}(?:Swarm)? +(\/ip[46]\/\S+)/gm)].map(
      ([, address]) => address ?? '',
    );
    if (this.apiUrl === '' || this.nodeId === '') throw new Error(`no address in the banner:\n${banner}`);
    this.#agent = new Agent({
      connections: 32,
      pipelining: 1,
      bodyTimeout: 60_000,
      headersTimeout: 60_000,
      ...(site === undefined ? {} : { connect: { socketPath: site.socketPath } }),
    });
  }

  async api(method: string, path: string, body?: unknown): Promise<ApiReply> {
    if (this.#agent === undefined) throw new Error('the node does not run');
    const reply = await request(`${this.apiUrl}${path}`, {
      method: method as 'GET',
      dispatcher: this.#agent,
      ...(body === undefined
        ? {}
        : {
            body: typeof body === 'string' ? body : JSON.stringify(body),
            headers: { 'content-type': 'application/json' },
          }),
    });
    const text = await reply.body.text();
    const isJson = String(reply.headers['content-type'] ?? '').startsWith('application/json');
    return { status: reply.statusCode, headers: reply.headers, body: isJson ? JSON.parse(text) : text };
  }

  async submit(job: Wire): Promise<string> {
    for (;;) {
      const reply = await this.api('PUT', '/api/v1/orchestrator/jobs', { Job: job });
      const id = (reply.body as Wire)['JobID'];
      if (reply.status === 200 && typeof id === 'string') return id;
      const after = Number(reply.headers['retry-after']);
      if (reply.status !== 503 || !(after >= 0)) {
        throw new Error(`the job was not taken: ${reply.status} ${JSON.stringify(reply.body)}`);
      }
      await pause(after * 1000);
    }
  }

  async jobState(id: string): Promise<{ state: string; message: string }> {
    const { Job } = (await this.#get(`/api/v1/orchestrator/jobs/${id}`)) as {
      Job: { State: { StateType: string; Message?: string } };
    };
    return { state: Job.State.StateType, message: Job.State.Message ?? '' };
  }

  async history(id: string): Promise<readonly HistoryRow[]> {
    const items = await this.#items(`/api/v1/orchestrator/jobs/${id}/history?limit=1000`);
    return items.map((item) => {
      const event = item['Event'] as { Topic: string; Message: string; Details?: Record<string, string> };
      const { Type, ExecutionID } = item as { Type: string; ExecutionID?: string };
      return {
        type: Type,
        topic: event.Topic,
        message: event.Message,
        executionId: ExecutionID ?? '',
        details: event.Details ?? {},
      };
    });
  }

  async executions(id: string): Promise<readonly ExecutionRow[]> {
    const items = await this.#items(`/api/v1/orchestrator/jobs/${id}/executions`);
    return items.map((item) => {
      const { ID, ComputeState, RunOutput, PublishedResult } = item as {
        ID: string;
        ComputeState: { StateType: number; Message?: string };
        RunOutput: { Stdout: string; ExitCode: number };
        PublishedResult: { Type: string };
      };
      return {
        id: ID,
        state: ComputeState.StateType,
        message: ComputeState.Message ?? '',
        stdout: RunOutput.Stdout,
        exitCode: RunOutput.ExitCode,
        published: PublishedResult.Type,
      };
    });
  }

  waitForJob(id: string, timeoutMs = 30_000): Promise<{ state: string; message: string }> {
    return this.waitUntil(
      async () => {
        const found = await this.jobState(id);
        return TERMINAL.has(found.state) ? found : undefined;
      },
      `job ${id} has ended`,
      timeoutMs,
    );
  }

  waitUntil<T>(
    check: () => Promise<T | undefined | false> | T | undefined | false,
    what: string,
    timeoutMs?: number,
  ): Promise<T> {
    return waitUntil(
      () => {
        if (!this.alive) throw new Error(`the node has ended while it was waited for: ${what}`);
        return check();
      },
      what,
      timeoutMs,
    );
  }

  async metrics(): Promise<ReadonlyMap<string, number>> {
    const { body } = await this.api('GET', '/metrics');
    return parsePrometheus(String(body));
  }

  async cli(
    args: readonly string[],
    options: { stdin?: string; env?: Record<string, string> } = {},
  ): Promise<CliRun> {
    const { printed, ended } = await this.startCli(args, options);
    const { code } = await ended;
    return { code: code ?? -1, ...printed };
  }

  startCli(
    args: readonly string[],
    options: { stdin?: string; env?: Record<string, string> } = {},
  ): Promise<Spawned> {
    const { hostname, port } = new URL(this.apiUrl);
    return spawnCommand(args, {
      folders: this.#folders,
      env: { BACALHAU_API_HOST: hostname, BACALHAU_API_PORT: port, ...options.env },
      ...(this.#options.site === undefined ? {} : { inside: this.#options.site.inside }),
      ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
    });
  }

  async kill9(): Promise<void> {
    this.#spawned?.child.kill('SIGKILL');
    await this.#gone();
  }

  async stop(): Promise<{ code: number | null; ms: number }> {
    const started = performance.now();
    this.#spawned?.child.kill('SIGTERM');
    const code = await this.#gone();
    return { code, ms: performance.now() - started };
  }

  async restart(options: Pick<TestNodeOptions, 'flags' | 'env' | 'startMs'> = {}): Promise<void> {
    if (this.alive) await this.stop();
    this.#options = { ...this.#options, ...options };
    await this.start();
  }

  async #gone(): Promise<number | null> {
    const code = (await this.#spawned?.ended)?.code ?? null;
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.destroy();
    return code;
  }

  async #get(path: string): Promise<Wire> {
    const { status, body } = await this.api('GET', path);
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body as Wire;
  }

  async #items(path: string): Promise<readonly Wire[]> {
    return ((await this.#get(path))['Items'] ?? []) as readonly Wire[];
  }
}

/** Starts a node and waits until it says that it runs. It ends, and its folders go, with the scope. */
export async function startTestNode(scope: Scope, options: TestNodeOptions = {}): Promise<TestNode> {
  const folders = await makeFolders(options);
  const node = new NodeProcess(folders, options);
  scope.after(async () => {
    if (scope.passed === false)
      console.log(`--- what the node of ${node.dataDir} said:\n${tail(node.output.stderr)}`);
    await node.kill9();
    await rm(folders.home, { recursive: true, force: true });
  });
  await node.start();
  return node;
}

/** Runs `serve` where it must not come up; how it ended. */
export async function startRefused(scope: Scope, options: TestNodeOptions = {}): Promise<CliRun> {
  const folders = await makeFolders(options);
  const spawned = await spawnCommand(serveArgs(folders, options), {
    folders,
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  scope.after(async () => {
    spawned.child.kill('SIGKILL');
    await spawned.ended;
    await rm(folders.home, { recursive: true, force: true });
  });
  const cut = setTimeout(() => spawned.child.kill('SIGKILL'), options.startMs ?? START_MS);
  const { code } = await spawned.ended;
  clearTimeout(cut);
  return { code: code ?? -1, ...spawned.printed };
}
