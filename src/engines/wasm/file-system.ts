import { constants, lstatSync, mkdirSync, openSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { ResultPath } from '../../core/job.ts';
import type { PreparedInput, RunRequest } from '../engine.ts';
import { FILE_RIGHTS, FILE_WRITE_RIGHTS, Rights, STREAM_RIGHTS } from './wasi/abi.ts';
import type { Descriptor } from './wasi/descriptors.ts';
import { hostCode } from './wasi/fault.ts';
import type { Mount } from './wasi/host-directory.ts';
import { ResultQuota } from './wasi/quota.ts';
import { type MountSource, MountTree, pathComponents } from './wasi/tree.ts';

/** An input of this alias, or with this target, is the program's standard input. */
const STDIN_ALIAS = 'stdin';
const STDIN_TARGET = '/dev/stdin';
/** What the engine itself writes into the results folder. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['stdout', 'stderr', 'exitCode']);

function isStdin(input: PreparedInput): boolean {
  return input.target === STDIN_TARGET || input.alias === STDIN_ALIAS;
}

function missing(input: PreparedInput, thrown: unknown): unknown {
  const code = hostCode(thrown);
  if (code === undefined) return thrown;
  return new NodeError('InputUnavailable', `input ${input.target}: cannot be read (${code})`, {
    cause: thrown,
  });
}

/**
 * The input's own path, links in it resolved. One inside the execution's folder must not be a link: what was
 * fetched for the job could point anywhere.
 */
function inputPath(input: PreparedInput, executionDirectory: string): string {
  try {
    const inside = relative(executionDirectory, input.path);
    const isOwn = inside !== '' && !inside.startsWith('..') && !isAbsolute(inside);
    if (!isOwn) return realpathSync(input.path);
    if (!lstatSync(input.path).isSymbolicLink()) return input.path;
  } catch (thrown) {
    throw missing(input, thrown);
  }
  throw new NodeError(
    'InputInvalid',
    `input ${input.target}: is a symbolic link (expected a file or a folder)`,
  );
}

/** Makes the file of an input that is in memory only. */
function writeContent({ path }: PreparedInput, content: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, content);
}

/** An input in memory as a file that is made when the guest first looks at it: most never look. */
function fileOnDemand(input: PreparedInput, content: Uint8Array): MountSource {
  let isMade = false;
  return {
    kind: 'file',
    mount: { readOnly: input.readOnly, quota: undefined },
    get path() {
      if (!isMade) writeContent(input, content);
      isMade = true;
      return input.path;
    },
  };
}

function mountInput(tree: MountTree, input: PreparedInput, executionDirectory: string): void {
  if (input.content !== undefined) {
    tree.mount(input.target, fileOnDemand(input, input.content), 'input');
    return;
  }
  const path = inputPath(input, executionDirectory);
  const mount: Mount = { readOnly: input.readOnly, quota: undefined };
  const stats = statSync(path);
  if (stats.isDirectory()) {
    tree.mount(input.target, { kind: 'directory', path, mount }, 'input');
  } else if (stats.isFile()) {
    tree.mount(input.target, { kind: 'file', path, mount }, 'input');
  } else {
    throw new NodeError('InputInvalid', `input ${input.target}: expected a file or a folder`);
  }
}

function checkResultName({ Name }: ResultPath): void {
  const parts = pathComponents(Name);
  if (parts?.length === 1 && parts[0] === Name && !RESERVED_NAMES.has(Name)) return;
  throw new NodeError(
    'InputInvalid',
    `result path name ${JSON.stringify(Name)} (expected a single file name other than ${[...RESERVED_NAMES].join(', ')})`,
  );
}

interface MountedResult {
  readonly name: string;
  readonly source: MountSource;
}

function mountResult(
  tree: MountTree,
  result: ResultPath,
  request: RunRequest,
  quota: ResultQuota,
): MountedResult {
  checkResultName(result);
  const path = join(request.resultsDirectory, result.Name);
  mkdirSync(path, { recursive: true });
  const source = { kind: 'directory', path, mount: { readOnly: false, quota } } as const;
  tree.mount(result.Path, source, `result path ${result.Name}`);
  return { name: result.Name, source };
}

/**
 * The file system of a run: its inputs at their targets, its result folders at their paths, and nothing else.
 * An input among `modules` whose target is no absolute path is code, not a file of the job.
 * @throws NodeError InputInvalid, InputUnavailable
 */
export function buildTree(request: RunRequest, modules: ReadonlySet<PreparedInput>): MountTree {
  const tree = new MountTree();
  const quota = new ResultQuota(request.maxResultBytes);
  for (const input of request.inputs) {
    const isModuleOnly = modules.has(input) && !input.target.startsWith('/');
    if (input.target !== STDIN_TARGET && !isModuleOnly) mountInput(tree, input, request.placement.directory);
  }
  const results = request.spec.Tasks[0].ResultPaths ?? [];
  const mounted = results.map((result) => mountResult(tree, result, request, quota));
  // v1.2 mounted results at their names; programs made for it find them there where nothing else is.
  for (const { name, source } of mounted) {
    if (tree.root.source.kind === 'none' && !tree.root.children.has(name)) tree.mount(name, source, name);
  }
  return tree;
}

/**
 * Descriptor 0 of a run: the input that is named for it, or nothing to read.
 * @throws NodeError InputInvalid, InputUnavailable
 */
export function openStdin(request: RunRequest): Descriptor {
  const input = request.inputs.find(isStdin);
  if (input === undefined) {
    return { kind: 'empty', rights: STREAM_RIGHTS | Rights.FD_READ, inheriting: 0, flags: 0 };
  }
  if (input.content !== undefined) writeContent(input, input.content);
  const path = inputPath(input, request.placement.directory);
  if (!statSync(path).isFile()) {
    throw new NodeError('InputInvalid', `input ${input.target}: a standard input must be a file`);
  }
  return {
    kind: 'file',
    fd: openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW),
    mount: { readOnly: true, quota: undefined },
    tracked: undefined,
    rights: FILE_RIGHTS & ~FILE_WRITE_RIGHTS,
    inheriting: 0,
    flags: 0,
    position: 0,
  };
}
