import type { BidDecision, Explanation, WaitingBid } from '../core/bids.ts';
import { NodeError } from '../core/errors.ts';
import { type NodeId, newExecutionId, shortId } from '../core/ids.ts';
import type { JobSpec } from '../core/job.ts';
import type { Submission } from '../core/ports.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { IngestStage } from './ingest/stage.ts';
import type { Item } from './item.ts';
import type { Spine } from './spine.ts';

export interface BidsModules {
  readonly spine: Spine;
  readonly store: ComputeStore;
  readonly ingest: IngestStage;
}

/** What people may do with bids: look at those that wait for them, decide, and ask what the policy would say. */
export class Bids {
  readonly #nodeId: NodeId;
  readonly #modules: BidsModules;

  constructor(options: { readonly nodeId: NodeId }, modules: BidsModules) {
    this.#nodeId = options.nodeId;
    this.#modules = modules;
  }

  /** Those that wait for approval, the longest first. */
  waiting(): WaitingBid[] {
    const { approvals, records } = this.#modules.spine;
    return approvals.items.map((item) => view(item, records.specs.of(item)));
  }

  /**
   * A person's word. Resolves when it is on disk.
   * @throws NodeError ExecutionNotFound when the node knows nothing of that id
   */
  async decide(
    id: string,
    word: { readonly approve: boolean; readonly reason: string },
  ): Promise<BidDecision[]> {
    const { spine, store } = this.#modules;
    const { approvals } = spine;
    const found = this.#find(id);
    const decisions: BidDecision[] = [];
    for (const { id: executionId } of found) {
      const outcome = word.approve
        ? approvals.approve(executionId, word.reason)
        : approvals.refuse(executionId, word.reason) && 'refused';
      if (outcome !== undefined && outcome !== false) decisions.push({ executionId, outcome });
    }
    await store.flushed();
    return decisions;
  }

  /**
   * Runs the whole policy, probes included, and nothing else.
   * @throws NodeError ValidationFailed, MalformedBody, Busy, Stopping
   */
  async explain(submission: Submission): Promise<Explanation> {
    const { spine, ingest } = this.#modules;
    const { header, spec } = await ingest.check(submission);
    const outcome = await spine.intake.explain({
      id: newExecutionId(),
      priority: 0,
      jobId: header.id,
      jobVersion: 1,
      requesterId: this.#nodeId,
      spec,
      header: undefined,
      dropped: false,
    });
    if (outcome.kind === 'advance' && outcome.value.explanation !== undefined) {
      return outcome.value.explanation;
    }
    const reason = outcome.kind === 'reject' ? outcome.reason : 'the policy could not be asked';
    throw new NodeError('Busy', `${reason}; ask again`);
  }

  /** Waiting bids of an execution or a job, by whole id, or by a beginning or short form that only one has. */
  #find(id: string): readonly Item[] {
    const { spine, store } = this.#modules;
    const { items } = spine.approvals;
    const exact = items.filter((item) => item.id === id || item.header.jobId === id);
    if (exact.length > 0) return exact;
    // Decided already, by this operator or another: that is no fault.
    if (store.get(id) !== undefined || store.list({ jobId: id, limit: 1 }).length > 0) return [];
    const alike = items.filter((one) =>
      [one.id, one.header.jobId].some(
        (known) => id !== '' && (known.startsWith(id) || shortId(known) === id),
      ),
    );
    const jobs = new Set(alike.map(({ header: { jobId } }) => jobId));
    if (jobs.size === 1) return alike;
    throw new NodeError(
      'ExecutionNotFound',
      jobs.size === 0
        ? `no bid waits for approval: ${id}`
        : `${jobs.size} bids begin with ${id}; use the full id`,
    );
  }
}

function view({ header, record }: Item, spec: Uint8Array): WaitingBid {
  return {
    executionId: header.executionId,
    jobId: header.jobId,
    requesterId: header.requesterId,
    reason: record.wait?.reason ?? '',
    approved: record.wait?.approved === true,
    createTime: record.createTime,
    untilMs: record.wait?.untilMs ?? 0,
    job: JSON.parse(new TextDecoder().decode(spec)) as JobSpec,
  };
}
