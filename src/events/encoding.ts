import { Packr } from 'msgpackr';
import type { HistoryRow } from '../store/records.ts';
import { eventOf, type Notice } from './event.ts';

/** How a subscriber gets events: as JSON text, as msgpack, or as lines of a Server-Sent Events stream. */
export type Encoding = 'json' | 'msgpack' | 'sse';

const packr = new Packr({ useRecords: false });

/** One event with its encoded forms, each made once and shared by all who want it. */
export class Entry {
  readonly row: HistoryRow;
  #json: string | undefined;
  #msgpack: Uint8Array | undefined;

  constructor(row: HistoryRow) {
    this.row = row;
  }

  get json(): string {
    this.#json ??= JSON.stringify(eventOf(this.row));
    return this.#json;
  }

  get msgpack(): Uint8Array {
    this.#msgpack ??= packr.pack(eventOf(this.row));
    return this.#msgpack;
  }

  /** Bytes in that encoding, or nearly. */
  size(encoding: Encoding): number {
    return encoding === 'msgpack' ? this.msgpack.length : this.json.length;
  }
}

const FIXARRAY = 0x90;
const FIXARRAY_MOST = 15;
const ARRAY16 = 0xdc;

function arrayHead(length: number): Uint8Array {
  return length <= FIXARRAY_MOST
    ? Uint8Array.of(FIXARRAY | length)
    : Uint8Array.of(ARRAY16, length >>> 8, length & 0xff);
}

/** One frame of events; at most 65,535 of them. */
export function encodeEvents(entries: readonly Entry[], encoding: Encoding): Uint8Array {
  switch (encoding) {
    case 'json':
      return Buffer.from(`[${entries.map(({ json }) => json).join(',')}]`);
    case 'msgpack':
      return Buffer.concat([arrayHead(entries.length), ...entries.map(({ msgpack }) => msgpack)]);
    case 'sse':
      return Buffer.from(
        entries.map(({ row, json }) => `id: ${row.seq}\nevent: ${row.level}\ndata: ${json}\n\n`).join(''),
      );
  }
}

/** One frame with a notice. A stream of Server-Sent Events moves its last id by an `at` and raises no event. */
export function encodeNotice(notice: Notice, encoding: Encoding): Uint8Array {
  switch (encoding) {
    case 'json':
      return Buffer.from(JSON.stringify([notice]));
    case 'msgpack':
      return packr.pack([notice]);
    case 'sse':
      if ('at' in notice) return Buffer.from(`: at ${notice.at}\nid: ${notice.at}\n\n`);
      if ('gap' in notice) return Buffer.from(`event: gap\ndata: ${JSON.stringify(notice.gap)}\n\n`);
      return Buffer.from(`event: end\ndata: ${JSON.stringify(notice.error)}\n\n`);
  }
}
