import { nearest } from '../core/nearest.ts';

/**
 * The key of the file that was probably meant. A key may be written without its first sections or under a wrong
 * one, so its last section counts as well as the whole.
 */
export function nearestKey(key: string, candidates: readonly string[]): string | undefined {
  const last = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
  const sameEnd = candidates.filter((candidate) => last(candidate).toLowerCase() === last(key).toLowerCase());
  return nearest(key, sameEnd.length > 0 ? sameEnd : candidates);
}
