import { type Limits, limits } from '../core/limits.ts';
import type { Setting, SettingKind, SettingReader } from './table.ts';

const DOCS: Readonly<Record<keyof Limits, string>> = {
  ingestQueue: 'Submissions waiting to be checked.',
  bidQueue: 'Asks waiting for a decision.',
  askBytes: 'Specs of asks waiting for a decision.',
  itemSpecBytes: 'Specs of executions kept in memory until they end; those of more are read from the store.',
  admitQueue: 'Accepted executions waiting for capacity.',
  approvals: 'Bids waiting for approval.',
  executeQueue: 'Placed executions waiting for a thread.',
  wasmQueue: 'Placed WASM executions waiting for a thread.',
  publishQueue: 'Finished executions waiting for their publisher.',
  offeredTimeoutMs: 'Time until an unanswered bid is withdrawn.',
  batchItems: 'Items in one message to a thread.',
  bodyBytes: 'Size of a request body.',
  streamBytes: "Size of a job's stdout or stderr.",
  asksInFlight: 'Asks unanswered at one node.',
  nodes: 'Nodes a requester remembers.',
  logReaders: 'WebSocket connections of log readers.',
  logBufferBytes: 'Unsent bytes of a slow log reader before it is paused.',
  eventSubscribers: 'Event subscribers, over WebSockets and Server-Sent Events together.',
  eventBufferBytes: 'Unsent bytes of a slow event subscriber before its cursor waits.',
  eventRingItems: 'Newest events kept in memory.',
  eventRingBytes: 'Memory of the newest events.',
  eventStallMs: 'Time after which an event subscriber that takes nothing is closed.',
  eventBeatMs: 'Silence after which an event subscriber is told how far it is.',
};

function isLimit(name: string): name is keyof Limits {
  return name in limits;
}

/** Every row's name in core/limits.ts, in order. */
const NAMES: readonly (keyof Limits)[] = Object.keys(limits).filter(isLimit);

function kindOf(name: keyof Limits): SettingKind {
  if (name.endsWith('Ms')) return 'duration';
  return name.endsWith('Bytes') ? 'bytes' : 'integer';
}

/** Key of a limit: the unit at the end of its name is in the value's text instead. */
function keyOf(name: keyof Limits): string {
  return `Limits.${name.replace(/(?:Ms|Bytes)$/, '')}`;
}

function textOf(name: keyof Limits): string {
  return name.endsWith('Ms') ? `${limits[name]}ms` : String(limits[name]);
}

export const limitsSettings: readonly Setting[] = NAMES.map((name) => ({
  key: keyOf(name),
  kind: kindOf(name),
  ...(kindOf(name) === 'integer' ? { min: 1 } : {}),
  default: textOf(name),
  doc: `Bound: ${DOCS[name]}`,
}));

export function readLimits(settings: SettingReader): Limits {
  const value = (name: keyof Limits): number => {
    const key = keyOf(name);
    switch (kindOf(name)) {
      case 'duration':
        return settings.durationMs(key);
      case 'bytes':
        return settings.bytes(key);
      default:
        return settings.integer(key);
    }
  };
  const own: Record<keyof Limits, number> = { ...limits };
  for (const name of NAMES) own[name] = value(name);
  return own;
}
