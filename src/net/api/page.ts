import type { ClientNeeds } from './client-version.ts';

/** Jobs may carry megabytes of inline inputs: a page ends early rather than hold up the node while it is written. */
const PAGE_BYTES = 16_777_216;

/** The beginning of a list as JSON. */
export interface Fragment {
  /** A JSON array. */
  readonly text: string;
  /** How many of the items are in it: at least one where there are any. */
  readonly count: number;
}

/** As many of `items` as a page may hold. */
export function fragment<T>(items: readonly T[], toWire: (item: T) => unknown): Fragment {
  const texts: string[] = [];
  let size = 0;
  for (const item of items) {
    const text = JSON.stringify(toWire(item));
    size += text.length;
    if (size > PAGE_BYTES && texts.length > 0) break;
    texts.push(text);
  }
  return { text: `[${texts.join(',')}]`, count: texts.length };
}

/** A list as JSON, under `Items` and where needed under its old name too. @param list a JSON array */
export function page(list: string, nextToken: string, oldKey: string, needs: ClientNeeds): string {
  const old = needs.oldKeys ? `,"${oldKey}":${list}` : '';
  return `{"NextToken":${JSON.stringify(nextToken)},"Items":${list}${old}}`;
}
