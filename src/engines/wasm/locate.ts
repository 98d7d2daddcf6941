import { lstatSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { PreparedInput } from '../engine.ts';

const NAMES_TOLD = 5;

const bare = (path: string): string => path.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');

/** The input that `reference`, a parameter of the task, names by its target or alias. */
function inputOf(inputs: readonly PreparedInput[], reference: string, param: string): PreparedInput {
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
 * Host path of the module that `reference` names. An input that is a folder (an archive was unpacked) must
 * hold one module only, or one of the name that `reference` ends in.
 * @throws NodeError WasmInvalid
 */
export function locateModule(inputs: readonly PreparedInput[], reference: string, param: string): string {
  const input = inputOf(inputs, reference, param);
  if (!lstatSync(input.path).isDirectory()) return input.path;
  const modules = readdirSync(input.path, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.wasm'))
    .map((entry) => entry.name);
  const wanted = basename(bare(reference));
  const [only] = modules;
  if (modules.includes(wanted)) return join(input.path, wanted);
  if (only !== undefined && modules.length === 1) return join(input.path, only);
  const plain = lstatSync(join(input.path, wanted), { throwIfNoEntry: false });
  if (wanted !== '' && plain?.isFile() === true) return join(input.path, wanted);
  throw new NodeError(
    'WasmInvalid',
    `${param}: the input ${input.target} is a folder with ${
      modules.length === 0 ? 'no .wasm file' : `the modules ${modules.slice(0, NAMES_TOLD).join(', ')}`
    } (expected exactly one, or ${wanted})`,
  );
}
