import { NodeError } from '../core/errors.ts';

/**
 * Checks one step against its state table. A new record begins in `initial`, or one step past it, where
 * both steps are one transaction; the same state is a change of the record only.
 * @throws NodeError IllegalTransition
 */
export function checkTransition<S extends string>(
  what: string,
  id: string,
  table: Readonly<Record<S, readonly S[]>>,
  initial: S,
  step: { readonly stored: S | undefined; readonly from: S | null; readonly to: S },
): void {
  const { stored, from, to } = step;
  const illegal = (reason: string): NodeError =>
    new NodeError(
      'IllegalTransition',
      `${what} ${id} cannot go from ${from ?? 'nothing'} to ${to}: ${reason}`,
      {
        details: { id, from: from ?? '', to, stored: stored ?? '' },
      },
    );
  if (stored !== (from ?? undefined)) {
    throw illegal(stored === undefined ? 'it is not in the store' : `it is ${stored} in the store`);
  }
  if (from === to) return;
  if (from === null) {
    if (to !== initial && !table[initial].includes(to)) throw illegal(`it must begin as ${initial}`);
    return;
  }
  if (!table[from].includes(to)) {
    const allowed = table[from];
    throw illegal(allowed.length === 0 ? `${from} is its end` : `expected ${allowed.join(', ')}`);
  }
}
