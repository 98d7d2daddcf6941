import { join } from 'node:path';
import type { JobSpec } from '../core/job.ts';
import type { RunSlot } from '../core/run-slot.ts';
import type { AdmitInput } from '../workers/admit/protocol.ts';
import type { BidInput } from '../workers/bid/protocol.ts';
import type { ExecuteInput, WasmInput } from '../workers/execute/protocol.ts';
import type { PublishInput } from '../workers/publish/protocol.ts';
import type { Item, PendingAsk } from './item.ts';

/** What each stage's threads are given of an item: plain, cloneable, no more than they need. */

export function bidInput({
  id,
  jobId,
  jobVersion,
  requesterId,
  header,
  spec,
  explain,
}: PendingAsk): BidInput {
  const asked = header ?? { executionId: id, jobId, jobVersion, requesterId };
  return { asked, spec, explain: explain !== undefined };
}

export function admitInput(item: Item): AdmitInput {
  return { kind: 'place', executionId: item.id, gpus: item.gpus.map((gpu) => gpu.Index) };
}

export function executeInput(item: Item, spec: Uint8Array): ExecuteInput {
  if (item.placement === undefined)
    throw new Error(`execution ${item.id} came to the execute stage without a place`);
  return { header: item.header, spec, placement: item.placement, gpus: item.gpus };
}

export function wasmInput(item: Item, spec: Uint8Array, slot: RunSlot): WasmInput {
  return { ...executeInput(item, spec), inputs: item.inputs, slot: slot.words };
}

export function publishInput(item: Item, spec: Uint8Array, executionsDirectory: string): PublishInput {
  const none = { Type: '' };
  // The spec is parsed only where there is something to publish.
  const publisher =
    item.header.publisher === ''
      ? none
      : (JSON.parse(new TextDecoder().decode(spec)) as JobSpec).Tasks[0].Publisher;
  return { header: item.header, publisher, resultsDirectory: join(executionsDirectory, item.id, 'results') };
}
