import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { PreparedInput } from '../engine.ts';

const NAMES_TOLD = 5;

const bare = (path: string): string => path.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');

/**
 * The input that `reference`, the parameter `param` of the task, names by its target or alias.
 * @throws NodeError WasmInvalid
 */
export function moduleInput(
  inputs: readonly PreparedInput[],
  reference: string,
  param: string,
): PreparedInput {
  const found =
    inputs.find(({ target }) => target === reference) ??
    inputs.find(({ alias }) => alias !== '' && alias === reference) ??
    inputs.find(({ target }) => bare(target) !== '' && bare(target) === bare(reference));
  if (found !== undefined) return found;
  const known = inputs.map(({ target }) => target).slice(0, NAMES_TOLD);
  throw new NodeError(
    'WasmInvalid',
    `${param}: no input has the target or alias ${reference} (expected one of: ${known.join(', ') || 'no inputs given'})`,
  );
}

/**
 * Host path of the module in an input that is a folder, as an archive unpacked is: it must hold one module
 * only, or one of the name that `reference` ends in.
 * @throws NodeError WasmInvalid
 */
export function moduleInFolder(input: PreparedInput, reference: string, param: string): string {
  const files = readdirSync(input.path, { withFileTypes: true }).filter((entry) => entry.isFile());
  const wanted = basename(bare(reference));
  if (files.some(({ name }) => name === wanted)) return join(input.path, wanted);
  const modules = files.map(({ name }) => name).filter((name) => name.endsWith('.wasm'));
  const [only] = modules;
  if (only !== undefined && modules.length === 1) return join(input.path, only);
  throw new NodeError(
    'WasmInvalid',
    `${param}: the input ${input.target} is a folder with ${
      only === undefined ? 'no .wasm file' : `the modules ${modules.slice(0, NAMES_TOLD).join(', ')}`
    } (expected exactly one, or ${wanted})`,
  );
}
