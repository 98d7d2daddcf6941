import { shortId } from '../core/ids.ts';
import type { HistoryRow } from '../store/records.ts';
import type { EventRole, EventType } from './event.ts';

/** Which events a subscriber wants. Every list that is not empty must have something that fits. */
export interface EventFilter {
  /** Whole ids or short ones (core/ids.ts shortId), as in the next two. */
  readonly jobs: readonly string[];
  readonly executions: readonly string[];
  readonly nodes: readonly string[];
  readonly types: readonly EventType[];
  readonly roles: readonly EventRole[];
}

/** The filter that all events pass. */
export const EVERYTHING: EventFilter = { jobs: [], executions: [], nodes: [], types: [], roles: [] };

type IdField = 'jobId' | 'executionId' | 'nodeId';

const ID_LISTS = [
  ['executions', 'executionId'],
  ['jobs', 'jobId'],
  ['nodes', 'nodeId'],
] as const satisfies readonly (readonly [keyof EventFilter, IdField])[];

/** A filter made ready to be asked about many rows. */
export class Matcher {
  /** Equal for filters that let the same pass. */
  readonly key: string;
  /** Ids of one field, one of which a row must have: what the filter is found by. Undefined where it names none. */
  readonly ids: { readonly field: IdField; readonly values: readonly string[] } | undefined;
  readonly #lists: readonly (readonly [IdField, ReadonlySet<string>])[];
  readonly #types: ReadonlySet<string>;
  readonly #roles: ReadonlySet<string>;

  constructor(filter: EventFilter) {
    const lists = ID_LISTS.filter(([name]) => filter[name].length > 0);
    this.#lists = lists.map(([name, field]) => [field, new Set(filter[name])] as const);
    this.#types = new Set(filter.types);
    this.#roles = new Set(filter.roles);
    const [first] = lists;
    this.ids = first === undefined ? undefined : { field: first[1], values: [...new Set(filter[first[0]])] };
    const sorted = (values: readonly string[]): string[] => [...new Set(values)].sort();
    const { jobs, executions, nodes, types, roles } = filter;
    this.key = JSON.stringify([jobs, executions, nodes, types, roles].map(sorted));
  }

  matches(row: HistoryRow): boolean {
    if (!this.wants(row.role)) return false;
    if (this.#types.size > 0 && !this.#types.has(row.level)) return false;
    for (const [field, values] of this.#lists) {
      const id = row[field];
      if (!values.has(id) && !values.has(shortId(id))) return false;
    }
    return true;
  }

  /** False when no event of that role passes. */
  wants(role: EventRole): boolean {
    return this.#roles.size === 0 || this.#roles.has(role);
  }
}

/** Finds those of many filters that a row may pass, without asking each: a narrow one costs nothing until its id comes. */
export class FilterIndex<T extends { readonly matcher: Matcher }> {
  readonly #broad = new Set<T>();
  readonly #byId: Readonly<Record<IdField, Map<string, Set<T>>>> = {
    jobId: new Map(),
    executionId: new Map(),
    nodeId: new Map(),
  };

  add(item: T): void {
    const { ids } = item.matcher;
    if (ids === undefined) {
      this.#broad.add(item);
      return;
    }
    const map = this.#byId[ids.field];
    for (const value of ids.values) {
      const items = map.get(value) ?? new Set();
      map.set(value, items.add(item));
    }
  }

  remove(item: T): void {
    const { ids } = item.matcher;
    this.#broad.delete(item);
    if (ids === undefined) return;
    const map = this.#byId[ids.field];
    for (const value of ids.values) {
      const items = map.get(value);
      items?.delete(item);
      if (items?.size === 0) map.delete(value);
    }
  }

  /** Calls `visit` once for every item whose filter the row passes. */
  visit(row: HistoryRow, visit: (item: T) => void): void {
    for (const item of this.#broad) if (item.matcher.matches(row)) visit(item);
    for (const [, field] of ID_LISTS) {
      const map = this.#byId[field];
      const id = row[field];
      if (map.size === 0 || id === '') continue;
      const whole = map.get(id);
      const short = map.get(shortId(id));
      for (const item of whole ?? []) if (item.matcher.matches(row)) visit(item);
      // A filter may name the same id both ways.
      for (const item of short ?? []) if (whole?.has(item) !== true && item.matcher.matches(row)) visit(item);
    }
  }
}
