import type { HistoryRow } from './records.ts';

/** A row of history on its way into a store. */
export interface NewRow {
  readonly row: HistoryRow;
  /** It is in the history of its job or execution, and not only an event. */
  readonly isListed: boolean;
}

/** One row by its numbers: seq and time count from those of the chunk, texts are places in its list. */
type Cells = readonly [
  seq: number,
  time: number,
  isListed: 0 | 1,
  level: number,
  jobId: number,
  jobVersion: number,
  executionId: number,
  nodeId: number,
  from: number,
  to: number,
  topic: number,
  message: number,
  /** Names and values in turn; 0 for none. */
  details: readonly number[] | 0,
];

/** Rows that are stored together: seq and time of the first, all texts once, and the rows. */
export type Chunk = readonly [seq: number, time: number, texts: readonly string[], rows: readonly Cells[]];

/** A reader of one row decodes its whole chunk: of so many rows in some 20 µs. */
const MAX_ROWS = 64;
/** Messages and details of a chunk that has more than one row, in characters. */
const MAX_TEXT = 32 * 1024;
/** From the first seq of a chunk to its last: a chunk that has a given seq begins at most so far before it. */
export const MAX_SPAN = 256;

/** Rows in the order of their seq, in parts that are small enough for a chunk each. */
export function* partsOf(rows: readonly NewRow[]): Generator<readonly NewRow[]> {
  let part: NewRow[] = [];
  let text = 0;
  for (const added of rows) {
    const size = textOf(added.row);
    const first = part[0]?.row.seq ?? added.row.seq;
    const isFull = part.length === MAX_ROWS || text + size > MAX_TEXT || added.row.seq - first >= MAX_SPAN;
    if (isFull && part.length > 0) {
      yield part;
      part = [];
      text = 0;
    }
    part.push(added);
    text += size;
  }
  if (part.length > 0) yield part;
}

/** Characters of the texts that may be long. */
function textOf({ message, details }: HistoryRow): number {
  let size = message.length;
  for (const name in details) size += name.length + (details[name] ?? '').length;
  return size;
}

export function encodeChunk(rows: readonly NewRow[]): Chunk {
  const { seq = 0, time = 0 } = rows[0]?.row ?? {};
  const texts: string[] = [];
  const places = new Map<string, number>();
  const place = (text: string): number => {
    let found = places.get(text);
    if (found === undefined) {
      found = texts.push(text) - 1;
      places.set(text, found);
    }
    return found;
  };
  const cells = rows.map(({ row, isListed }): Cells => {
    const details: number[] = [];
    for (const name in row.details) details.push(place(name), place(row.details[name] ?? ''));
    return [
      row.seq - seq,
      row.time - time,
      isListed ? 1 : 0,
      place(row.level),
      place(row.jobId),
      row.jobVersion,
      place(row.executionId),
      place(row.nodeId),
      place(row.from),
      place(row.to),
      place(row.topic),
      place(row.message),
      details.length === 0 ? 0 : details,
    ];
  });
  return [seq, time, texts, cells];
}

/** Rows of a chunk with a greater seq, oldest first. */
export function rowsAfter(chunk: Chunk, role: HistoryRow['role'], after: number): HistoryRow[] {
  const [first, , , rows] = chunk;
  return rows.filter(([seq]) => first + seq > after).map((cells) => decode(chunk, cells, role));
}

/** Listed rows of a job (in a requester's chunk) or of an execution (in a compute node's), oldest first. */
export function rowsOf(chunk: Chunk, role: HistoryRow['role'], owner: string): HistoryRow[] {
  const [, , texts, rows] = chunk;
  const place = texts.indexOf(owner);
  return rows
    .filter(([, , isListed, , jobId, , executionId]) => {
      return isListed === 1 && place === (role === 'requester' ? jobId : executionId);
    })
    .map((cells) => decode(chunk, cells, role));
}

function decode([firstSeq, firstTime, texts]: Chunk, cells: Cells, role: HistoryRow['role']): HistoryRow {
  const [seq, time, , level, jobId, jobVersion, executionId, nodeId, from, to, topic, message, details] =
    cells;
  const text = (place: number): string => texts[place] ?? '';
  return {
    seq: firstSeq + seq,
    time: firstTime + time,
    role,
    level: text(level) as HistoryRow['level'],
    jobId: text(jobId),
    jobVersion,
    executionId: text(executionId),
    nodeId: text(nodeId),
    from: text(from),
    to: text(to),
    topic: text(topic),
    message: text(message),
    details: details === 0 ? {} : pairs(details, text),
  };
}

function pairs(places: readonly number[], text: (place: number) => string): Record<string, string> {
  const entries: [string, string][] = [];
  for (let at = 0; at + 1 < places.length; at += 2) {
    entries.push([text(places[at] ?? 0), text(places[at + 1] ?? 0)]);
  }
  return Object.fromEntries(entries);
}
