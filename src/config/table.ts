/** How a setting's text becomes a value; strings die here. */
export type SettingKind =
  | 'string'
  | 'boolean'
  | 'integer'
  | 'port'
  /** Go duration text; the value is milliseconds, and the field's name ends in Ms. */
  | 'duration'
  /** Human bytes ("10MiB", "2Gb"); the value is bytes, and the field's name ends in Bytes. */
  | 'bytes'
  /** A resource: an amount, or a percentage of what the machine has. The value is an Amount. */
  | 'amount-cpu'
  | 'amount-memory'
  | 'amount-disk'
  | 'amount-gpu'
  /** Comma separated or repeated; the value is string[]. */
  | 'list'
  /** "k=v" comma separated or repeated; the value is Record<string, string>. */
  | 'map';

/** What the text of a `string` or of each item of a `list` must be. */
export type SettingFormat =
  /** libp2p address: "/ip4/127.0.0.1/tcp/1235/p2p/12D3…". */
  | 'multiaddr'
  /** A multiaddr or an http(s) URL. */
  | 'rpc-address'
  /** An http(s) URL. */
  | 'url'
  /** A libp2p peer id, or a word that stands for all or none. */
  | 'peer-id'
  /** Of a web page, as browsers send it, or a word that stands for some or all. */
  | 'origin';

/** One row of the config table. Rooms declare theirs in an `options.ts`; config/settings.ts gathers them. */
export interface Setting {
  /** Canonical dotted key, v1.9's name where there is one: "Compute.AllocatedCapacity.CPU". */
  readonly key: string;
  /** Other keys of the file: v1.2's "Node.*" names, older v1.9 ones. */
  readonly aliases?: readonly string[];
  /** "--limit-total-cpu" without the dashes. */
  readonly flag?: string;
  readonly flagAliases?: readonly string[];
  /** Short environment names; BACALHAU_<KEY_WITH_UNDERSCORES> of the key and its aliases work always. */
  readonly env?: readonly string[];
  /** False where the environment name made of the canonical key means something else. */
  readonly keyEnv?: false;
  readonly kind: SettingKind;
  readonly format?: SettingFormat;
  /** Text as a person would write it. "" means unset. */
  readonly default: string;
  /** What an unset value means, for people: "80 % of what was detected". */
  readonly unset?: string;
  /** One line for --help and docs/CONFIG.md. */
  readonly doc: string;
  /** Allowed texts, lower case, where it is a choice; of each item where it is a list. */
  readonly choices?: readonly string[];
  /** Smallest and largest value of an integer. */
  readonly min?: number;
  readonly max?: number;
  /** Never printed. */
  readonly secret?: boolean;
}

/** A resource limit as stated: left to the node, exact (cores, bytes, count), or a share (0 to 1) of the machine's. */
export type Amount =
  | { readonly kind: 'auto' }
  | { readonly kind: 'exact'; readonly value: number }
  | { readonly kind: 'share'; readonly share: number };

/** One limit a dimension. */
export interface ResourceAmounts {
  readonly cpu: Amount;
  readonly memory: Amount;
  readonly disk: Amount;
  readonly gpu: Amount;
}

/** The parsed settings, as the rooms' `options.ts` read them into their slice. Each key must exist and have the kind. */
export interface SettingReader {
  text(key: string): string;
  boolean(key: string): boolean;
  integer(key: string): number;
  durationMs(key: string): number;
  bytes(key: string): number;
  amount(key: string): Amount;
  list(key: string): readonly string[];
  map(key: string): Readonly<Record<string, string>>;
  /** Variables of the environment that these names match; a trailing "*" matches any rest. */
  hostEnv(names: readonly string[]): Readonly<Record<string, string>>;
  /** True when somebody gave a value, other than "". */
  isSet(key: string): boolean;
  /** Absolute form of a path setting, `~` and the working directory resolved; "" stays "". */
  path(key: string): string;
  /** Adds a fault of this setting to the list that ends the load. */
  fault(key: string, message: string): void;
}
