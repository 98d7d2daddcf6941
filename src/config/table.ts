/** How a setting's text becomes a value; strings die here. */
export type SettingKind =
  | 'string'
  | 'boolean'
  | 'integer'
  | 'port'
  /** Go duration text; the value is milliseconds, and the field's name ends in Ms. */
  | 'duration'
  /** Comma separated or repeated; the value is string[]. */
  | 'list'
  /** "k=v" comma separated or repeated; the value is Record<string, string>. */
  | 'map';

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
  readonly kind: SettingKind;
  /** Text as a person would write it. "" means unset. */
  readonly default: string;
  /** One line for --help and docs/CONFIG.md. */
  readonly doc: string;
  /** Allowed texts, lower case, where it is a choice. */
  readonly choices?: readonly string[];
  /** Never printed. */
  readonly secret?: boolean;
}
