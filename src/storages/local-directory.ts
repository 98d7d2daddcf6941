import { mkdir, open, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import picomatch from 'picomatch';
import { NodeError } from '../core/errors.ts';
import type { InputSource } from '../core/job.ts';
import { systemCode } from '../files/tree.ts';
import { param, textParam } from './params.ts';
import type { Storage } from './storage.ts';

/** One row of the allow-list. */
export interface AllowedPath {
  readonly pattern: string;
  readonly writable: boolean;
}

/** Splits "/data/**:rw" into pattern and mode; read-only unless it says so. */
export function parseAllowedPath(text: string): AllowedPath {
  const mode = /:(ro|rw)$/.exec(text)?.[1];
  const pattern = mode === undefined ? text : text.slice(0, -3);
  return { pattern: pattern.length > 1 ? pattern.replace(/\/+$/, '') : pattern, writable: mode === 'rw' };
}

/**
 * Files and folders of this machine, by `Params.SourcePath`, where the operator's allow-list has them. They are
 * given to the job as they are: nothing is copied, and nothing of them is ever removed.
 */
export function createLocalDirectoryStorage(options: { readonly allowList: readonly string[] }): Storage {
  const allowed = options.allowList.map(parseAllowedPath);
  return {
    type: 'localdirectory',
    async hasLocally(input) {
      try {
        await locate(input, allowed, false);
        return true;
      } catch (thrown) {
        if (thrown instanceof NodeError) return false;
        throw thrown;
      }
    },
    // It is there already, so it takes no disk of the job.
    size: () => Promise.resolve(0),
    async prepare(input, context) {
      context.signal.throwIfAborted();
      const { path, readOnly } = await locate(input, allowed, true);
      return { path, target: input.Target, alias: input.Alias, readOnly, bytes: 0 };
    },
  };
}

interface Located {
  readonly path: string;
  readonly readOnly: boolean;
}

/** @throws NodeError InputInvalid, InputForbidden, InputUnavailable */
async function locate(
  input: InputSource,
  allowed: readonly AllowedPath[],
  create: boolean,
): Promise<Located> {
  const source = textParam(input, 'SourcePath');
  if (!isAbsolute(source)) {
    throw new NodeError('InputInvalid', `localDirectory: expected an absolute SourcePath, got ${source}`);
  }
  const path = resolve(source);
  const wantsWrite = param(input, 'ReadWrite') === true;
  // The path as it is written must be allowed too: a refused one must not tell by its error what exists.
  await permit(path, path, allowed, wantsWrite);
  if (create && wantsWrite) await createAs(path, allowed, String(param(input, 'CreateAs') ?? ''));
  let real: string;
  try {
    real = await realpath(path);
    const found = await stat(real);
    if (!found.isFile() && !found.isDirectory()) {
      throw new NodeError('InputInvalid', `localDirectory: ${path} is neither a file nor a folder`);
    }
  } catch (thrown) {
    if (thrown instanceof NodeError) throw thrown;
    throw new NodeError(
      'InputUnavailable',
      `localDirectory: ${path} cannot be read (${systemCode(thrown)})`,
      {
        cause: thrown,
      },
    );
  }
  await permit(path, real, allowed, wantsWrite);
  return { path: real, readOnly: !wantsWrite };
}

/** Checks `path` against the allow-list; `asked` is what the error names. @throws NodeError InputForbidden */
async function permit(
  asked: string,
  path: string,
  allowed: readonly AllowedPath[],
  wantsWrite: boolean,
): Promise<void> {
  let readable = false;
  for (const { pattern, writable } of allowed) {
    if (!(await matches(pattern, path))) continue;
    if (writable || !wantsWrite) return;
    readable = true;
  }
  throw new NodeError(
    'InputForbidden',
    readable
      ? `localDirectory: ${asked} is allowed on this node for reading only (--allow-listed-local-paths has no ":rw" for it)`
      : `localDirectory: ${asked} is not allowed on this node (--allow-listed-local-paths)`,
  );
}

/** True when the glob matches, as written or with the links in its fixed part resolved. */
async function matches(pattern: string, path: string): Promise<boolean> {
  if (picomatch.isMatch(path, pattern, { dot: true })) return true;
  const { base, glob } = picomatch.scan(pattern);
  if (!isAbsolute(base)) return false;
  let real: string;
  try {
    real = await realpath(base);
  } catch {
    return false;
  }
  // The resolved base is a name, not a pattern: compare it as text and match only what is below it.
  if (glob === '') return path === real;
  if (path !== real && !path.startsWith(real === '/' ? real : `${real}/`)) return false;
  return picomatch.isMatch(join('/', path.slice(real.length)), join('/', glob), { dot: true });
}

/** Makes what is missing, where the job asks for it: v1.9's `CreateAs` of writable inputs. */
async function createAs(path: string, allowed: readonly AllowedPath[], strategy: string): Promise<void> {
  const kind = creationKind(strategy, path);
  if (kind === undefined || (await stat(path).catch(() => undefined)) !== undefined) return;
  const parent = await realpath(dirname(path)).catch(() => undefined);
  if (parent === undefined) return;
  const real = join(parent, basename(path));
  await permit(path, real, allowed, true);
  try {
    if (kind === 'dir') await mkdir(real);
    else await (await open(real, 'wx')).close();
  } catch (thrown) {
    if (systemCode(thrown) !== 'EEXIST') {
      throw new NodeError(
        'InputUnavailable',
        `localDirectory: ${path} cannot be made (${systemCode(thrown)})`,
        {
          cause: thrown,
        },
      );
    }
  }
}

function creationKind(strategy: string, path: string): 'dir' | 'file' | undefined {
  switch (strategy.toLowerCase()) {
    case 'dir':
      return 'dir';
    case 'file':
      return 'file';
    case 'infer':
      return extname(path) === '' ? 'dir' : 'file';
    default:
      return undefined;
  }
}
