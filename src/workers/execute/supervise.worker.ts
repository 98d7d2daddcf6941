import { toErrorData } from '../../core/errors.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { DockerEngine } from '../../engines/docker/engine.ts';
import { dockerLimits } from '../../engines/docker/limits.ts';
import type { Engine } from '../../engines/engine.ts';
import { MockEngine } from '../../engines/mock/engine.ts';
import { createStorages } from '../../storages/registry.ts';
import { type HandlerContext, serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import { type Prepared, prepareExecution, type StorageRegistry } from './prepare.ts';
import {
  type ExecuteInput,
  type ExecuteOptions,
  type ExecuteOutput,
  type ExecuteReport,
  type ExecuteRow,
  executeInput,
} from './protocol.ts';
import { buildRunRequest, diskLimit, hasFiles, parseSpec } from './run-request.ts';

type Context = HandlerContext<ExecuteReport>;

/** What a supervise thread keeps between executions. */
class Supervisor {
  readonly #options: ExecuteOptions;
  readonly #mock = new MockEngine();
  #storages: StorageRegistry | undefined;
  #docker: Promise<DockerEngine> | undefined;
  #acceptNetworked: boolean;

  constructor(options: ExecuteOptions) {
    this.#options = options;
    this.#acceptNetworked = options.acceptNetworked;
  }

  /** The operator's word, as it changes. */
  acceptNetworked(accept: boolean): void {
    this.#acceptNetworked = accept;
    const { allowHostNetwork } = this.#options;
    void this.#docker?.then((docker) =>
      docker.setNetworkPolicy({ acceptNetworked: accept, allowHostNetwork }),
    );
  }

  async handle(input: ExecuteInput, context: Context): Promise<Outcome<ExecuteOutput>> {
    // Its reason, a control message, is what an engine knows as StopReason.
    const stop = context.signal;
    try {
      const spec = parseSpec(input.spec);
      if ((spec.Tasks[0].InputSources ?? []).length > 0) context.report({ kind: 'preparing' });
      const prepared = await this.#prepare(input, spec, stop, context);
      if (input.header.engine === 'wasm') {
        return { kind: 'advance', value: { kind: 'prepared', ...prepared } };
      }
      const engine = await this.#engine(input.header.engine, context);
      const request = buildRunRequest(input, prepared.inputs, this.#options, spec);
      const result = await engine.run(request, { signal: stop, report: (report) => context.report(report) });
      return { kind: 'advance', value: { kind: 'finished', result, hasFiles: hasFiles(input) } };
    } catch (thrown) {
      const error = toErrorData(thrown);
      return error.code === 'ExecutionCancelled'
        ? { kind: 'cancelled', reason: error.message }
        : { kind: 'fail', error };
    }
  }

  #prepare(
    input: ExecuteInput,
    spec: ReturnType<typeof parseSpec>,
    signal: AbortSignal,
    context: Context,
  ): Promise<Prepared> {
    this.#storages ??= createStorages(this.#options.storages, (question, signal) =>
      context.ask(question, signal),
    );
    const maxInputBytes = diskLimit(input.header, spec, this.#options.maxResultBytes);
    const { directory } = input.placement;
    return prepareExecution({ spec, directory, maxInputBytes, signal }, this.#storages);
  }

  async #engine(type: string, context: Context): Promise<Engine> {
    if (type !== 'docker') return this.#mock;
    this.#docker ??= this.#createDocker(context);
    return await this.#docker;
  }

  /** Loaded with the first Docker job: a thread that never sees one stays small. */
  async #createDocker(context: Context): Promise<DockerEngine> {
    const { DockerEngine } = await import('../../engines/docker/engine.ts');
    const { nodeId, dockerHost, allowHostNetwork } = this.#options;
    const { dockerUsername, dockerPassword } = this.#options;
    return new DockerEngine(
      {
        nodeId,
        dockerHost,
        acceptNetworked: this.#acceptNetworked,
        allowHostNetwork,
        createsAtOnce: dockerLimits.createsAtOnce,
        dockerUsername,
        dockerPassword,
      },
      { log: (level, text, fields) => context.log(level, text, fields) },
    );
  }
}

const run: (batch: WorkBatch<ExecuteRow>) => Promise<unknown> = serve<
  ExecuteRow,
  ExecuteOutput,
  ExecuteReport
>((options) => {
  const supervisor = new Supervisor(options as ExecuteOptions);
  return {
    handle: (row, context) => supervisor.handle(executeInput(context.id, row), context),
    onLive: (name, value) => {
      if (name === 'acceptNetworked') supervisor.acceptNetworked(value === true);
    },
  };
});

export default run;
