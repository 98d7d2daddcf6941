import { typeKey } from '../../core/headers.ts';
import type { SpecConfig } from '../../core/job.ts';
import type { Faults } from './faults.ts';
import { fields, inKeyOrder, isObject, readStruct, readText, type Source } from './keys.ts';

/** What a parameter holds. A trailing "!" means that it must be given. */
type ParamKind = 'text' | 'text!' | 'texts' | 'flag';

type ParamTable = ReadonlyMap<string, ParamKind>;

/** In which role a SpecConfig names something: the same name takes other parameters as storage and as publisher. */
export type SpecRole = 'engine' | 'storage' | 'publisher';

function params(table: Record<string, ParamKind>): ParamTable {
  return new Map(Object.entries(table));
}

const S3: Record<string, ParamKind> = {
  Bucket: 'text!',
  Key: 'text!',
  Endpoint: 'text',
  Region: 'text',
};
const LOCAL_DIRECTORY = params({ SourcePath: 'text!', ReadWrite: 'flag', CreateAs: 'text' });

/** Parameters of the types the node knows, in their own casing. Those of other types pass unchecked: no node may run them. */
const known: Readonly<Record<SpecRole, ReadonlyMap<string, ParamTable>>> = {
  engine: new Map([
    [
      'docker',
      params({
        Image: 'text!',
        Entrypoint: 'texts',
        Parameters: 'texts',
        EnvironmentVariables: 'texts',
        WorkingDirectory: 'text',
      }),
    ],
    [
      'wasm',
      params({ EntryModule: 'text!', Entrypoint: 'text', Parameters: 'texts', ImportModules: 'texts' }),
    ],
  ]),
  storage: new Map([
    ['ipfs', params({ CID: 'text!' })],
    ['urldownload', params({ URL: 'text!' })],
    ['inline', params({ URL: 'text!' })],
    ['localdirectory', LOCAL_DIRECTORY],
    ['local', LOCAL_DIRECTORY],
    ['s3', params({ ...S3, Filter: 'text', VersionID: 'text', ChecksumSHA256: 'text' })],
  ]),
  publisher: new Map([['s3', params({ ...S3, Encoding: 'text' })]]),
};

const SPEC_FIELDS = fields('Type', 'Params');

/** A SpecConfig's type as it is compared: "urlDownload" is "urldownload". */
/** A SpecConfig with its type trimmed and its parameters under their own names and in order. */
export function normaliseSpecConfig(
  value: unknown,
  role: SpecRole,
  path: string,
  faults: Faults,
): SpecConfig {
  const struct = readStruct(value, path, SPEC_FIELDS, faults);
  const type = readText(struct, 'Type', path, faults).trim();
  const given = struct['Params'];
  if (given === null || given === undefined) return { Type: type };
  if (!isObject(given)) {
    faults.mistyped(`${path}.Params`, 'an object', given);
    return { Type: type };
  }
  const table = known[role].get(typeKey(type));
  const named = table === undefined ? given : ownCasing(given, table);
  const ordered = inKeyOrder(named, `${path}.Params`, faults) as Record<string, unknown>;
  return Object.keys(ordered).length === 0 ? { Type: type } : { Type: type, Params: ordered };
}

/** Checks the parameters of a type the node knows. */
export function validateParams(spec: SpecConfig, role: SpecRole, path: string, faults: Faults): void {
  const table = known[role].get(typeKey(spec.Type));
  if (table === undefined) return;
  for (const [name, kind] of table) checkParam(spec.Params?.[name], kind, path, name, faults);
}

function checkParam(value: unknown, kind: ParamKind, path: string, name: string, faults: Faults): void {
  const at = `${path}.Params.${name}`;
  switch (kind) {
    case 'text':
      if (value !== undefined && value !== null && typeof value !== 'string')
        faults.mistyped(at, 'a string', value);
      return;
    case 'text!':
      if (value === undefined || value === null || value === '') {
        faults.missing(`${path}.Params`, name, 'missing (expected a non-empty string)');
      } else if (typeof value !== 'string') faults.mistyped(at, 'a string', value);
      else if (value.trim() === '') faults.add(at, 'blank (expected a non-empty string)');
      return;
    case 'flag':
      if (value !== undefined && value !== null && typeof value !== 'boolean') {
        faults.mistyped(at, 'true or false', value);
      }
      return;
    case 'texts':
      checkTexts(value, at, faults);
      return;
  }
}

function checkTexts(value: unknown, at: string, faults: Faults): void {
  if (value === undefined || value === null) return;
  if (!Array.isArray(value)) {
    faults.mistyped(at, 'an array of strings', value);
    return;
  }
  for (let index = 0; index < value.length; index += 1) {
    if (typeof value[index] !== 'string') faults.mistyped(`${at}[${index}]`, 'a string', value[index]);
  }
}

/** The same parameters under the names the table gives them; a key already so named wins over other casings. */
function ownCasing(given: Source, table: ParamTable): Source {
  let exact = true;
  for (const key in given) if (!table.has(key)) exact = false;
  if (exact) return given;
  const folded = new Map<string, string>();
  for (const name of table.keys()) folded.set(name.toLowerCase(), name);
  const named: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(given)) {
    const name = table.has(key) ? key : (folded.get(key.toLowerCase()) ?? key);
    if (name === key || !Object.hasOwn(given, name)) named[name] = value;
  }
  return named;
}
