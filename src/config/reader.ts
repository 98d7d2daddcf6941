import { type Fault, originText, type RawValue } from './origin.ts';
import { isGiven, type Value } from './parse.ts';
import type { Amount, Setting, SettingKind, SettingReader } from './table.ts';

interface Entry {
  readonly setting: Setting;
  readonly value: Value;
  readonly raw: RawValue;
}

/** Hands parsed values to the rooms, and knows which of them nobody asked for. */
export class Reader implements SettingReader {
  readonly #entries = new Map<string, Entry>();
  readonly #read = new Set<string>();
  readonly #resolve: (path: string) => string;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #faults: Fault[];

  constructor(
    options: { resolve: (path: string) => string; env: Readonly<Record<string, string | undefined>> },
    faults: Fault[],
  ) {
    this.#resolve = options.resolve;
    this.#env = options.env;
    this.#faults = faults;
  }

  set(setting: Setting, value: Value, raw: RawValue): void {
    this.#entries.set(setting.key, { setting, value, raw });
  }

  text(key: string): string {
    return String(this.#value(key, 'string'));
  }

  boolean(key: string): boolean {
    return this.#value(key, 'boolean') === true;
  }

  integer(key: string): number {
    return Number(this.#value(key, 'integer', 'port'));
  }

  durationMs(key: string): number {
    return Number(this.#value(key, 'duration'));
  }

  bytes(key: string): number {
    return Number(this.#value(key, 'bytes'));
  }

  amount(key: string): Amount {
    return this.#value(key, 'amount-cpu', 'amount-memory', 'amount-disk', 'amount-gpu') as Amount;
  }

  list(key: string): readonly string[] {
    return this.#value(key, 'list') as readonly string[];
  }

  map(key: string): Readonly<Record<string, string>> {
    return this.#value(key, 'map') as Readonly<Record<string, string>>;
  }

  path(key: string): string {
    return this.#resolve(this.text(key));
  }

  hostEnv(names: readonly string[]): Readonly<Record<string, string>> {
    const wanted = (name: string): boolean =>
      names.some((item) => (item.endsWith('*') ? name.startsWith(item.slice(0, -1)) : name === item));
    const found: Record<string, string> = {};
    for (const [name, value] of Object.entries(this.#env)) {
      if (value !== undefined && wanted(name)) found[name] = value;
    }
    return found;
  }

  isSet(key: string): boolean {
    this.#read.add(key);
    return isGiven(this.#entry(key).raw);
  }

  fault(key: string, message: string): void {
    const { origin } = this.#entry(key).raw;
    const where = origin.kind === 'default' ? key : originText(origin);
    this.#faults.push({ where, message });
  }

  /** Keys of rows that no room has read. */
  unread(): readonly string[] {
    return [...this.#entries.values()]
      .filter((entry) => !this.#read.has(entry.setting.key))
      .map((entry) => entry.setting.key);
  }

  #entry(key: string): Entry {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new Error(`no such setting: ${key}`);
    return entry;
  }

  #value(key: string, ...kinds: readonly SettingKind[]): Value {
    const entry = this.#entry(key);
    if (!kinds.includes(entry.setting.kind)) {
      throw new Error(`setting ${key} is a ${entry.setting.kind}, not a ${kinds.join(' or ')}`);
    }
    this.#read.add(key);
    return entry.value;
  }
}
