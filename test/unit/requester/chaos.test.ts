import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ExecutionId, JobId } from '../../../src/core/ids.ts';
import type { AskForBid } from '../../../src/core/messages.ts';
import { isComputeTerminal, isJobTerminal } from '../../../src/core/states.ts';
import { checked, type Kit, makeKit, nodeInfo } from '../../support/requester/kit.ts';
import { LazyEnvironment } from '../../support/requester/lazy-environment.ts';
import { turns } from '../../support/requester/manual-clock.ts';

/** What a node does next with one of its executions, or the world with the requester. */
type Step =
  | { readonly kind: 'submit'; readonly count: number; readonly retries: boolean }
  | { readonly kind: 'bid' | 'refuse' | 'reject' | 'start' | 'finish' | 'fail' | 'lose'; readonly at: number }
  | { readonly kind: 'again'; readonly at: number }
  | { readonly kind: 'stop'; readonly at: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'turn' };

const at = fc.nat({ max: 40 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      count: fc.integer({ min: 0, max: 3 }),
      retries: fc.boolean(),
    }),
  },
  {
    weight: 24,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'bid' as const,
        'bid' as const,
        'refuse' as const,
        'reject' as const,
        'start' as const,
        'finish' as const,
        'finish' as const,
        'fail' as const,
        'lose' as const,
      ),
      at,
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('again' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const), at }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 70_000 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'turn' as const }) },
);

type Word = 'bid' | 'refuse' | 'reject' | 'start' | 'finish' | 'fail' | 'lose';

/**
 * A compute node that keeps its word: what it has said of an execution it says again when asked again, and it
 * survives the requester. It may say anything twice, at any time. Where it is the requester's own node, what was on its
 * way between the two is lost with a crash.
 */
class World {
  readonly isOwn: boolean;
  kit!: Kit;
  environment = new LazyEnvironment();
  readonly jobs: { id: JobId; count: number }[] = [];
  readonly asks = new Map<ExecutionId, AskForBid>();
  readonly said = new Map<ExecutionId, Word[]>();
  readonly accepted = new Set<ExecutionId>();
  readonly over = new Set<ExecutionId>();
  /** The node's outbox: what the requester has not acknowledged. */
  readonly unacknowledged = new Set<readonly [AskForBid, Word]>();

  constructor(isOwn: boolean) {
    this.isOwn = isOwn;
  }

  async begin(): Promise<void> {
    const clock = this.kit?.clock;
    this.kit = await makeKit({
      environment: this.environment,
      hello: false,
      own: this.isOwn,
      requester: { asksInFlight: 4, windowSize: 4, restingJobs: 2 },
      ...(clock === undefined ? {} : { clock }),
    });
    const { node } = this.kit;
    node.onAsk = (ask) => {
      this.asks.set(ask.executionId, ask);
      for (const word of this.said.get(ask.executionId) ?? []) this.#send(ask, word);
    };
    const handle = node.handle.bind(node);
    node.handle = (from, message) => {
      if (message.type === 'BidAccepted') {
        this.accepted.add(message.executionId);
        // Of an execution that it has no offer of, it says so.
        const ask = this.asks.get(message.executionId);
        const said = this.said.get(message.executionId) ?? [];
        if (ask !== undefined && !said.includes('bid')) this.#say(ask, 'lose');
        else if (ask !== undefined && this.isOwn) for (const word of said) this.#send(ask, word);
      }
      if (message.type === 'BidRejected' || message.type === 'CancelExecution')
        this.over.add(message.executionId);
      return handle(from, message);
    };
    await node.reply({ type: 'NodeInfo', info: nodeInfo() });
    for (const message of [...this.unacknowledged]) {
      this.unacknowledged.delete(message);
      this.#send(...message);
    }
  }

  async run(next: Step): Promise<void> {
    switch (next.kind) {
      case 'submit': {
        const { jobId } = await this.kit.requester.submit(checked({ Count: next.count, cpu: '0.1' }));
        this.jobs.push({ id: jobId, count: next.count });
        return;
      }
      case 'again': {
        const ask = this.#pick(next.at);
        for (const word of this.said.get(ask?.executionId ?? '') ?? [])
          if (ask !== undefined) this.#send(ask, word);
        return;
      }
      case 'stop': {
        const job = this.jobs[next.at % Math.max(1, this.jobs.length)];
        if (job !== undefined) await this.kit.requester.stop(job.id, '', 'enough').catch(() => undefined);
        return;
      }
      case 'wait':
        this.kit.clock.advance(next.ms);
        return turns(2);
      case 'restart':
        // What is dead says nothing more.
        this.kit.node.handle = () => new Promise(() => undefined);
        this.environment = this.environment.crash();
        if (this.isOwn) this.unacknowledged.clear();
        return this.begin();
      case 'turn':
        return turns(2);
      default: {
        const ask = this.#pick(next.at);
        if (ask !== undefined && this.#mayStill(ask, next.kind)) this.#say(ask, next.kind);
      }
    }
  }

  /** Every job ends when its node does its best. */
  async finish(): Promise<void> {
    for (let round = 0; round < 400; round += 1) {
      for (const ask of this.asks.values()) {
        if (this.#mayStill(ask, 'bid')) this.#say(ask, 'bid');
        else if (this.#mayStill(ask, 'finish')) this.#say(ask, 'finish');
      }
      this.#announce();
      await turns(3);
      this.check();
      if (this.jobs.every(({ id }) => isJobTerminal(this.kit.store.job(id)?.state.type ?? 'Pending'))) return;
      this.kit.clock.advance(1000);
    }
    assert.fail(
      `jobs never ended: ${JSON.stringify(this.jobs.map(({ id }) => this.kit.store.job(id)?.state))} ${JSON.stringify(this.kit.requester.debug())} ${JSON.stringify(this.kit.delivery.debug())}`,
    );
  }

  check(): void {
    const { store } = this.kit;
    let open = 0;
    for (const { id, count } of this.jobs) {
      const executions = store.executions(id);
      const active = executions.filter(({ computeState }) => !isComputeTerminal(computeState.type));
      const done = executions.filter(({ computeState }) => computeState.type === 'Completed');
      open += active.filter(({ computeState }) => computeState.type === 'AskForBid').length;
      assert.ok(
        active.length + done.length <= count,
        `job ${id} has ${active.length} + ${done.length} executions of ${count}`,
      );
      const state = store.job(id)?.state.type ?? 'Pending';
      if (isJobTerminal(state))
        assert.equal(active.length, 0, `job ${id} is ${state} with active executions`);
      if (state === 'Completed') assert.equal(done.length, count);
    }
    assert.ok(open <= 4, `${open} asks are open`);
  }

  #announce(): void {
    void this.kit.node.reply({
      type: 'RoomAnnounced',
      openSlots: 64,
      openCapacity: { cpu: 4, memory: 4e9, disk: 4e9, gpu: 0 },
    });
  }

  #pick(index: number): AskForBid | undefined {
    const all = [...this.asks.values()];
    return all[index % Math.max(1, all.length)];
  }

  #mayStill({ executionId }: AskForBid, word: Word): boolean {
    const said = this.said.get(executionId) ?? [];
    if (said.some((one) => one !== 'bid' && one !== 'start') || this.over.has(executionId)) return false;
    if (word === 'bid' || word === 'refuse' || word === 'reject') return said.length === 0;
    if (!said.includes('bid') || !this.accepted.has(executionId)) return false;
    return word !== 'start' || !said.includes('start');
  }

  #say(ask: AskForBid, word: Word): void {
    this.said.set(ask.executionId, [...(this.said.get(ask.executionId) ?? []), word]);
    this.#send(ask, word);
  }

  #send(ask: AskForBid, word: Word): void {
    const message = [ask, word] as const;
    // A refusal is not kept: it is asked for again.
    if (word !== 'refuse' && word !== 'reject') this.unacknowledged.add(message);
    const { kit } = this;
    void this.#deliver(ask, word).then(() => {
      if (this.kit === kit) this.unacknowledged.delete(message);
    });
  }

  #deliver(ask: AskForBid, word: Word): Promise<void> {
    const { node } = this.kit;
    const { executionId, jobId } = ask;
    const failed = (code: 'EngineFailed' | 'ExecutionLost', job: JobId): Promise<void> =>
      node.reply({
        type: 'ComputeError',
        executionId,
        jobId: job,
        error: { code, message: code },
        topic: 'Execution',
      });
    switch (word) {
      case 'bid':
        return node.bid(ask);
      case 'refuse':
        return node.refuse(ask, false);
      case 'reject':
        return node.refuse(ask, true);
      case 'start':
        return node.reply({ type: 'ExecutionStarted', executionId, jobId });
      case 'finish':
        return node.finish(ask);
      case 'fail':
        return failed('EngineFailed', jobId);
      case 'lose':
        return failed('ExecutionLost', '');
    }
  }
}

const isEnd = (state: string): boolean => ['Completed', 'Failed', 'Stopped'].includes(state);

/** Rows that end a job, in its history. */
async function endings({ requester }: Kit, id: JobId): Promise<number> {
  const { items } = await requester.history(id, '', {
    since: 0,
    eventType: 'job',
    executionId: '',
    jobVersion: 0,
    allVersions: true,
    limit: 100_000,
    offset: 0,
  });
  // A failed job may still be stopped by a person.
  return items.filter(({ from, to }) => isEnd(to) && !isEnd(from)).length;
}

describe('whatever happens, and in whatever order', () => {
  for (const isOwn of [false, true])
    it(`every job ends exactly once and nothing is asked for twice, at ${isOwn ? "the requester's own" : 'another'} node`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }), async (steps) => {
          const world = new World(isOwn);
          await world.begin();
          for (const next of steps) {
            await world.run(next);
            world.check();
          }
          await world.finish();
          await turns(6);
          const { store, requester } = world.kit;
          for (const { id } of world.jobs) assert.equal(await endings(world.kit, id), 1);
          assert.equal(requester.debug()['live'], 0);
          assert.equal(requester.debug()['executions'], 0);
          assert.equal(requester.debug()['waiting'], 0);
          assert.equal(store.blockedCount(), 0);
          assert.deepEqual(store.pendingEvaluations({ limit: 10 }), []);
          assert.equal(store.outbox.size(), 0);
        }),
        { numRuns: Number(process.env['CHAOS_RUNS'] ?? 150) },
      );
    });
});
