import type { InputSource } from './job.ts';

/** A data: URL of one of these types holds an archive, which becomes a folder. */
export const ARCHIVE_TYPES: ReadonlySet<string> = new Set([
  'application/gzip',
  'application/x-gzip',
  'application/tar+gzip',
]);

/** True for an input that is one file inside the job itself: nothing of it need be on disk until somebody looks. */
export function isInlineFile({ Source: { Type, Params } }: InputSource): boolean {
  if (Type.trim().toLowerCase() !== 'inline') return false;
  const url = Params?.['URL'];
  if (typeof url !== 'string') return false;
  const type = /^data:([^;,]*)/i.exec(url)?.[1];
  return type !== undefined && !ARCHIVE_TYPES.has(type.trim().toLowerCase());
}
