import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** One request and its answer, or one WebSocket. */
export interface RecordedExchange {
  readonly file: string;
  readonly method: string;
  readonly path: string;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly requestBody?: unknown;
  readonly status: number;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly responseBody?: unknown;
  readonly frames?: readonly { readonly from: string; readonly binary: boolean; readonly data: unknown }[];
  readonly close?: { readonly by: string; readonly code: number; readonly reason: string };
}

const shared = resolve(process.env['BACALHAU_FIXTURES'] ?? join(import.meta.dirname, '../../../shared'));

/** Folder with the exchanges of Bacalhau 1.9.3. */
export const recordingsFolder: string = join(shared, 'golden', 'bacalhau-1.9.3');

/** Every recorded exchange in the order of the files; undefined where the folder is missing. */
export function loadRecordings(): RecordedExchange[] | undefined {
  if (!existsSync(recordingsFolder)) return undefined;
  return readdirSync(recordingsFolder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .flatMap((name) => {
      const { http } = JSON.parse(readFileSync(join(recordingsFolder, name), 'utf8')) as {
        http: Omit<RecordedExchange, 'file'>[];
      };
      return http.map((exchange) => ({ ...exchange, file: name.replace('.json', '') }));
    });
}

/** What may differ between two answers. */
export interface Tolerance {
  /** Keys whose values are compared by type only. */
  readonly anyValue: ReadonlySet<string>;
  /** Keys that may be there in addition. */
  readonly extraKeys: ReadonlySet<string>;
  /** Keys whose contents are not compared. */
  readonly open: ReadonlySet<string>;
}

function kindOf(value: Json): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** Differences between a recorded answer and ours: keys, types, null or absent, array lengths, values. */
export function differences(expected: unknown, actual: unknown, tolerance: Tolerance): string[] {
  const found: string[] = [];
  const walk = (want: Json, have: Json, path: string, key: string): void => {
    if (kindOf(want) !== kindOf(have)) {
      found.push(
        `${path}: expected ${kindOf(want)} ${JSON.stringify(want)}, got ${kindOf(have)} ${JSON.stringify(have)}`,
      );
    } else if (Array.isArray(want) && Array.isArray(have)) {
      if (want.length !== have.length)
        found.push(`${path}: expected ${want.length} items, got ${have.length}`);
      want.forEach((item, index) => {
        const other = have[index];
        if (other !== undefined) walk(item, other, `${path}[${index}]`, key);
      });
    } else if (typeof want === 'object' && want !== null && typeof have === 'object' && have !== null) {
      if (tolerance.open.has(key)) return;
      const wanted = want as { [key: string]: Json };
      const had = have as { [key: string]: Json };
      for (const name of Object.keys(wanted)) {
        const [one, other] = [wanted[name], had[name]];
        if (other === undefined) found.push(`${path}.${name}: absent`);
        else if (one !== undefined) walk(one, other, `${path}.${name}`, name);
      }
      for (const name of Object.keys(had)) {
        if (!(name in wanted) && !tolerance.extraKeys.has(name))
          found.push(`${path}.${name}: not in the recording`);
      }
    } else if (want !== have && !tolerance.anyValue.has(key)) {
      found.push(`${path}: expected ${JSON.stringify(want)}, got ${JSON.stringify(have)}`);
    }
  };
  walk(expected as Json, actual as Json, '$', '');
  return found;
}
