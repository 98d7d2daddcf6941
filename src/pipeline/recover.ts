import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionId } from '../core/ids.ts';
import { PARTIAL_SUFFIX } from '../core/item.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Approvals } from './approvals.ts';
import type { Item } from './item.ts';
import type { Spine } from './spine.ts';

/** Records read at once; nothing else runs meanwhile. */
const PAGE = 256;

/** How often a place is looked for, for executions beyond a queue that was made shorter since they were accepted. */
const RETRY_MS = 50;

/** A run found half done after this many starts is taken as what ends the node, and fails. */
export const MAX_ATTEMPTS = 5;

export interface RecoverModules {
  readonly store: ComputeStore;
  readonly spine: Pick<
    Spine,
    'records' | 'fitsMachine' | 'restoreOffered' | 'restoreAccepted' | 'restoreFinished' | 'giveUp'
  > & { readonly approvals: Pick<Approvals, 'restore'> };
  readonly logger: Logger;
  readonly executionsDirectory: string;
  /** Where the local publisher keeps archives. */
  readonly archivesDirectory: string;
  /** Removes every container of this node. */
  readonly reapContainers: () => Promise<number>;
  /** True when Docker answers: a store in memory has forgotten whose containers are left. */
  readonly dockerAnswers: boolean;
}

export interface Recovered {
  readonly approval: number;
  readonly offered: number;
  readonly queued: number;
  readonly restarted: number;
  readonly publishing: number;
  readonly givenUp: number;
}

/**
 * Brings every execution that had not ended to where it goes on, before the network opens. An execution found
 * running starts again; one whose results are on disk is published.
 */
export async function recover(modules: RecoverModules): Promise<Recovered> {
  const { store, spine, logger, executionsDirectory } = modules;
  const { records } = spine;
  await removePartials(modules.archivesDirectory);
  const counts = { approval: 0, offered: 0, queued: 0, restarted: 0, publishing: 0, givenUp: 0 };
  const live = new Set<ExecutionId>();
  const late: Item[] = [];
  const pages: Item[][] = [];
  let after: ExecutionId | undefined;
  for (;;) {
    const page = store.live(after === undefined ? { limit: PAGE } : { after, limit: PAGE });
    if (page.length === 0) break;
    pages.push(page.map(({ record, spec }) => records.restored(record, spec)));
    after = page.at(-1)?.record.header.executionId;
  }
  const items = pages.flat();
  const mayRun = (item: Item): boolean => item.header.engine === 'docker' && item.record.state !== 'Created';
  if (modules.dockerAnswers || items.some(mayRun)) {
    const removed = await modules.reapContainers();
    if (removed > 0) logger.info({ removed }, 'removed containers of the node before this restart');
  }
  sortOffers(items);
  for (const item of items) {
    // An offer has no folder, unless the crash took back that it was accepted.
    if (item.record.state !== 'Created') live.add(item.id);
    if (item.record.wait?.kind === 'approval') {
      counts.approval += 1;
      spine.approvals.restore(item);
      continue;
    }
    if (item.record.state !== 'Publishing' && !spine.fitsMachine(item)) {
      counts.givenUp += 1;
      spine.giveUp(item, 'the node restarted with less capacity than it needs');
      continue;
    }
    switch (item.record.state) {
      case 'Created':
        counts.offered += 1;
        if (spine.restoreOffered(item)) records.offeredAgain(item);
        else spine.giveUp(item, 'the node restarted with no room for it');
        break;
      case 'Publishing':
        if (hasRun(item) && existsSync(join(executionsDirectory, item.id, 'results'))) {
          counts.publishing += 1;
          item.ran = true;
          item.placement = { directory: join(executionsDirectory, item.id), gpus: [] };
          spine.restoreFinished(item);
          break;
        }
        counts.restarted += 1;
        restart(item);
        break;
      case 'Running':
        counts.restarted += 1;
        restart(item);
        break;
      case 'BidAccepted':
        counts.queued += 1;
        queue(item);
        break;
      case 'Completed':
      case 'Failed':
      case 'Cancelled':
        break;
    }
  }
  void feedLate();
  await removeStrays(executionsDirectory, live, logger);
  return counts;

  function restart(item: Item): void {
    if (item.record.attempts >= MAX_ATTEMPTS) {
      counts.givenUp += 1;
      spine.giveUp(item, `the node went down ${item.record.attempts} times while it ran`);
      return;
    }
    records.again(item);
    queue(item);
  }

  function queue(item: Item): void {
    if (!spine.restoreAccepted(item)) late.push(item);
  }

  async function feedLate(): Promise<void> {
    while (late.length > 0) {
      const item = late[0];
      if (item !== undefined && spine.restoreAccepted(item)) late.shift();
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
    }
  }
}

/** Its run has ended, well or not; what follows is publishing. */
function hasRun({ result, failure }: Item): boolean {
  return result !== undefined || failure !== undefined;
}

/** Offers are parked in the order of their ends; everything else stays where it is. */
function sortOffers(items: Item[]): void {
  const places = items.flatMap((item, index) => (item.record.state === 'Created' ? [index] : []));
  const offers = places.flatMap((index) => items[index] ?? []);
  offers.sort((a, b) => (a.record.wait?.untilMs ?? 0) - (b.record.wait?.untilMs ?? 0));
  for (const [at, index] of places.entries()) {
    const offer = offers[at];
    if (offer !== undefined) items[index] = offer;
  }
}

/** Folders of executions that have ended, or were never recorded. */
async function removeStrays(
  directory: string,
  live: ReadonlySet<ExecutionId>,
  logger: Logger,
): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  const strays = names.filter((name) => !live.has(name));
  for (const name of strays) await rm(join(directory, name), { recursive: true, force: true });
  if (strays.length > 0) logger.info({ count: strays.length }, 'removed folders of ended executions');
}

/** Archives that were being written. Their executions are published again. */
async function removePartials(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names)
    if (name.endsWith(PARTIAL_SUFFIX)) await rm(join(directory, name), { force: true });
}
