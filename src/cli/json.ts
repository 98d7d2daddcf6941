/** The context argument of JSON.parse's reviver and JSON.rawJSON: in Node, not yet in the type library. */
type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** Parses JSON; whole numbers that a double cannot hold become bigint, so that times in nanoseconds stay exact. */
export function parseJson(text: string): unknown {
  const reviver: Reviver = (_key, value, context) =>
    typeof value === 'number' &&
    !Number.isSafeInteger(value) &&
    context.source !== undefined &&
    /^-?\d+$/.test(context.source)
      ? BigInt(context.source)
      : value;
  return (JSON.parse as (text: string, reviver: Reviver) => unknown)(text, reviver);
}

/** JSON text; bigints as plain numbers. */
export function formatJson(value: unknown, pretty: boolean): string {
  const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };
  return JSON.stringify(
    value,
    (_key, inner: unknown) => (typeof inner === 'bigint' ? rawJSON(String(inner)) : inner),
    pretty ? 2 : undefined,
  );
}
