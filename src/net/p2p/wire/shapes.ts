import { WireFault } from './fault.ts';

/** How a value of a payload is written, and what is checked when it is read. Both sides of the wire in one place. */
export interface Shape<T> {
  /** What msgpack encodes. */
  readonly write: (value: T) => unknown;
  /** @throws WireFault invalid that says what was expected */
  readonly read: (raw: unknown) => T;
}

/** Shapes of all fields of T; a field that may be absent has one made by `optional`. */
export type Fields<T> = { readonly [K in keyof T]-?: Shape<T[K]> };

const same = (value: unknown): unknown => value;

function plain<T>(read: (raw: unknown) => T): Shape<T> {
  return { write: same, read };
}

function refuse(expected: string, raw: unknown): never {
  const got = raw === null ? 'nil' : Array.isArray(raw) ? 'an array' : typeof raw;
  throw new WireFault('invalid', `${expected} was expected, got ${got}`);
}

/** Text of at most so many UTF-16 units. */
export function text(most: number): Shape<string> {
  return plain((raw) => {
    if (typeof raw !== 'string') refuse('text', raw);
    if (raw.length > most)
      throw new WireFault('invalid', `${raw.length} characters of text, ${most} are allowed`);
    return raw;
  });
}

export const flag: Shape<boolean> = plain((raw) => (typeof raw === 'boolean' ? raw : refuse('a flag', raw)));

/** A whole number from 0. */
export const count: Shape<number> = plain((raw) =>
  Number.isSafeInteger(raw) && (raw as number) >= 0 ? (raw as number) : refuse('a whole number', raw),
);

/** A whole number. */
export const integer: Shape<number> = plain((raw) =>
  Number.isSafeInteger(raw) ? (raw as number) : refuse('a whole number', raw),
);

/** A finite number from 0. */
export const amount: Shape<number> = plain((raw) =>
  typeof raw === 'number' && raw >= 0 && raw < Number.POSITIVE_INFINITY ? raw : refuse('an amount', raw),
);

/** One of a closed set; what a newer peer adds becomes `fallback`. */
export function oneOf<T extends string>(known: readonly T[], fallback: NoInfer<T>): Shape<T> {
  const set = new Set<unknown>(known);
  return plain((raw) => {
    if (typeof raw !== 'string') refuse('text', raw);
    return set.has(raw) ? (raw as T) : fallback;
  });
}

/** A shape that also stands for "absent": nil, or a field that is not there. */
export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return {
    write: (value) => (value === undefined ? undefined : shape.write(value)),
    read: (raw) => (raw === undefined || raw === null ? undefined : shape.read(raw)),
  };
}

/** A value or null, which is not the same as absent. */
export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return {
    write: (value) => (value === null ? null : shape.write(value)),
    read: (raw) => (raw === null ? null : shape.read(raw)),
  };
}

export function list<T>(shape: Shape<T>, most: number): Shape<readonly T[]> {
  return {
    write: (values) => values.map((value) => shape.write(value)),
    read: (raw) => {
      if (!Array.isArray(raw)) refuse('an array', raw);
      if (raw.length > most) throw new WireFault('invalid', `${raw.length} items, ${most} are allowed`);
      return raw.map((one: unknown, index) => within(`[${index}]`, () => shape.read(one)));
    },
  };
}

/** A map of text to text. */
export function texts(most: number, mostEach: number): Shape<Readonly<Record<string, string>>> {
  const each = text(mostEach);
  return {
    write: same,
    read: (raw) => {
      const entries = Object.entries(record(raw));
      if (entries.length > most)
        throw new WireFault('invalid', `${entries.length} entries, ${most} are allowed`);
      return Object.fromEntries(
        entries.map(([key, value]) => [text(mostEach).read(key), within(key, () => each.read(value))]),
      );
    },
  };
}

/** Any map, as it is: what engines and publishers keep in it is their own. */
export const anyMap: Shape<Record<string, unknown>> = { write: same, read: record };

/** An object as an array, in the order in which its fields stand here; only ever add at the end. */
export function row<T extends object>(fields: Fields<T>): Shape<T> {
  const columns = shapesOf<T>(fields);
  return {
    write: (value) => {
      const items: unknown[] = [];
      for (const [key, shape] of columns) items.push(writeField(shape, value[key]));
      return items;
    },
    read: (raw) => {
      if (!Array.isArray(raw)) refuse('an array', raw);
      const found: Partial<T> = {};
      for (const [index, [key, shape]] of columns.entries()) {
        readField(found, key, shape, raw[index] as unknown);
      }
      return found as T;
    },
  };
}

/** An object as a map by its field names. Keys that are not listed are dropped. */
export function map<T extends object>(fields: Fields<T>): Shape<T> {
  const columns = shapesOf<T>(fields);
  return {
    write: (value) => {
      const found: Record<string, unknown> = {};
      for (const [key, shape] of columns) {
        const written = writeField(shape, value[key]);
        if (written !== undefined) found[String(key)] = written;
      }
      return found;
    },
    read: (raw) => {
      const source = record(raw);
      const found: Partial<T> = {};
      for (const [key, shape] of columns) readField(found, key, shape, source[String(key)]);
      return found as T;
    },
  };
}

type Column<T> = readonly [keyof T, Shape<T[keyof T]>];

function shapesOf<T extends object>(fields: Fields<T>): readonly Column<T>[] {
  return Object.entries(fields) as unknown as readonly Column<T>[];
}

function writeField<T>(shape: Shape<T>, value: T): unknown {
  return shape.write(value);
}

function readField<T extends object>(
  found: Partial<T>,
  key: keyof T,
  shape: Shape<T[keyof T]>,
  raw: unknown,
): void {
  const value = within(String(key), () => shape.read(raw));
  if (value !== undefined) found[key] = value;
}

/** The fault of a part, with where it is. */
function within<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof WireFault)) throw thrown;
    throw new WireFault(thrown.reason, `${where}: ${thrown.message}`);
  }
}

function record(raw: unknown): Record<string, unknown> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw) || raw instanceof Uint8Array)
    refuse('a map', raw);
  return raw as Record<string, unknown>;
}
