import { randomFillSync } from 'node:crypto';

/** Libp2p peer id of a node, which is also its node id. */
export type NodeId = string;
/** `j-<uuid>`. */
export type JobId = string;
/** `e-<uuid>`. */
export type ExecutionId = string;

const POOL_BYTES = 4096;
const VARIANTS = '89ab';
const pool: Buffer = Buffer.alloc(POOL_BYTES);
/** The pool as text: cutting text costs less than making bytes and turning them into it. */
let digits = '';
let digitsUsed = 0;
let lastMillis = 0;
let counter = 0;
/** What all ids of this millisecond begin with. */
let prefix = '';

/** @param count hexadecimal digits */
function randomDigits(count: number): string {
  if (digitsUsed + count > digits.length) {
    randomFillSync(pool);
    digits = pool.toString('hex');
    digitsUsed = 0;
  }
  digitsUsed += count;
  return digits.slice(digitsUsed - count, digitsUsed);
}

function beginAt(millis: number): void {
  lastMillis = millis;
  const time = millis.toString(16).padStart(12, '0');
  prefix = `${time.slice(0, 8)}-${time.slice(8)}-7`;
}

/**
 * A UUIDv7 (RFC 9562): time-ordered to the millisecond, and by a counter within it, so that keys made of it
 * are appended to the end of a B-tree.
 */
export function uuidv7(): string {
  const now = Date.now();
  if (now > lastMillis) {
    beginAt(now);
    counter = Number.parseInt(randomDigits(2), 16);
  } else {
    counter += 1;
    if (counter > 0xfff) {
      beginAt(lastMillis + 1);
      counter = 0;
    }
  }
  const sequence = counter.toString(16).padStart(3, '0');
  const tail = randomDigits(16);
  const variant = VARIANTS[(tail.codePointAt(0) ?? 0) & 3] ?? '8';
  return `${prefix}${sequence}-${variant}${tail.slice(1, 4)}-${tail.slice(4)}`;
}

/** A new job id. */
export function newJobId(): JobId {
  return `j-${uuidv7()}`;
}

/** A new execution id. */
export function newExecutionId(): ExecutionId {
  return `e-${uuidv7()}`;
}

/** A new evaluation id: a plain UUID, as the REST API returns it. */
export function newEvaluationId(): string {
  return uuidv7();
}

/**
 * The id as a text of its own. One that was cut out of a longer text (a row of the store) keeps that text in memory, for
 * as long as it is kept itself.
 */
export function ownText(id: string): string {
  return Buffer.from(id).toString();
}

const TIMED = /^(?:[a-z]-)?([0-9a-f]{8})-([0-9a-f]{4})-7/;

/** When an id was made, epoch milliseconds, where it says: `x-<UUIDv7>`. Ids of other programs may not. */
export function idTimeMs(id: string): number | undefined {
  const [, high = '', low = ''] = TIMED.exec(id) ?? [];
  return high === '' ? undefined : Number.parseInt(`${high}${low}`, 16);
}

const PREFIXED_UUID = /^([a-z]-)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True when `id` is a whole `x-<uuid>`, false when it can only be a prefix of one, or a name. */
export function isCompleteId(id: string): boolean {
  return PREFIXED_UUID.test(id);
}

/**
 * What people see of an id. Time-ordered ids made within a minute begin alike, so a job's or an execution's
 * short form is its prefix and its last 8 characters; so is a peer id's, because all Ed25519 ids begin alike.
 */
export function shortId(id: string): string {
  const prefix = PREFIXED_UUID.exec(id)?.[1];
  if (prefix !== undefined) return `${prefix}${id.slice(-8)}`;
  return id.length > 8 ? id.slice(-8) : id;
}
