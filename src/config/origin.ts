/** Where a value came from. */
export type Origin =
  | { readonly kind: 'flag'; readonly flag: string }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string; readonly line: number; readonly key: string }
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'default' };

/** "--port", "environment variable X", "/path/config.yaml:3 (Node.Type)". */
export function originText(origin: Origin): string {
  switch (origin.kind) {
    case 'flag':
      return `--${origin.flag}`;
    case 'env':
      return `environment variable ${origin.name}`;
    case 'file':
      return `${origin.path}:${origin.line} (${origin.key})`;
    case 'key':
      return origin.key;
    case 'default':
      return 'default';
  }
}

/** A value as it was written, before its kind is looked at. */
export interface RawValue {
  readonly origin: Origin;
  /** One text a value; several for a repeated flag or a YAML list or map. */
  readonly texts: readonly string[];
  /** True where commas separate values: flags and environment, not YAML lists. */
  readonly commas: boolean;
}

/** One fault of the configuration, with where it is. */
export interface Fault {
  readonly where: string;
  readonly message: string;
}
