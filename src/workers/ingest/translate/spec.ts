import { NO_TIMEOUT_SECONDS } from '../../../core/duration.ts';
import type { Faults } from '../../checks/faults.ts';
import { isObject, type Source } from '../../checks/keys.ts';
import { Folded, given } from './folded.ts';
import { type OldStorage, translateStorage } from './storage.ts';

/** Engines, verifiers and publishers that do nothing. */
const NOTHING: ReadonlySet<string> = new Set(['', 'noop', 'none']);
/** Where the entry module is put when it has no name. */
const ENTRY_TARGET = 'main.wasm';
/** Texts of the older `TargetingMode` that mean every matching node. */
const EVERYWHERE: ReadonlySet<unknown> = new Set([true, 'all', 'targetall']);

/**
 * A `Spec` of Bacalhau 0.1 to 1.2 as a Job with one Task: a batch job, or an ops job where it targets all
 * nodes. What has no counterpart is dropped with a warning when it says anything.
 */
export function translateSpec(spec: Folded, warnings: string[], faults: Faults): Source {
  const deal = spec.object('deal');
  const mode = deal.get('targetingmode');
  const everywhere = EVERYWHERE.has(typeof mode === 'string' ? mode.toLowerCase() : mode);
  warnDropped(spec, deal, warnings);
  return given({
    Namespace: spec.get('namespace'),
    Type: everywhere ? 'ops' : 'batch',
    Count: everywhere ? 0 : concurrency(deal, spec),
    Constraints: spec.get('nodeselectors'),
    Labels: labels(spec.get('annotations'), faults),
    Tasks: [translateTask(spec, faults)],
  });
}

function warnDropped(spec: Folded, deal: Folded, warnings: string[]): void {
  const verifier = spec.text('verifier').toLowerCase();
  if (!NOTHING.has(verifier) && verifier !== 'ipfs') {
    warnings.push(`Spec.Verifier ${JSON.stringify(verifier)} is ignored: results are not verified`);
  }
  const dropped: readonly (readonly [string, boolean])[] = [
    ['Spec.Contexts', spec.has('contexts')],
    ['Spec.Sharding', spec.has('sharding', 'executionplan')],
    ['Spec.Deal.Confidence', deal.has('confidence')],
    ['Spec.Deal.MinBids', deal.has('minbids')],
  ];
  for (const [name, said] of dropped) if (said) warnings.push(`${name} is ignored: it has no counterpart`);
}

/** Absent and 0 meant one. */
function concurrency(deal: Folded, spec: Folded): unknown {
  const value = deal.get('concurrency') ?? spec.get('concurrency', 'count');
  return value === 0 ? 1 : (value ?? 1);
}

/** Annotations were bare words. */
function labels(annotations: unknown, faults: Faults): Source | undefined {
  if (annotations === undefined) return undefined;
  if (isObject(annotations)) return annotations;
  if (!Array.isArray(annotations)) {
    faults.mistyped('Spec.Annotations', 'an array of strings', annotations);
    return undefined;
  }
  const words = annotations.filter((word) => typeof word === 'string');
  return Object.fromEntries(words.map((word) => [word, word]));
}

function translateTask(spec: Folded, faults: Faults): Source {
  const vm = spec.object('docker', 'jobspecdocker', 'jobspecvm', 'vm');
  const inputs = storages(spec.get('inputs', 'inputvolumes'), 'Spec.Inputs', faults);
  const { engine, modules } = translateEngine(spec, vm, faults);
  return given({
    Name: 'main',
    Engine: engine,
    Publisher: publisher(spec),
    InputSources: [...inputs, ...modules].map(({ input }) => input),
    ResultPaths: storages(spec.get('outputs', 'outputvolumes'), 'Spec.Outputs', faults).map((output) => ({
      Name: output.name === '' ? 'outputs' : output.name,
      Path: output.input.Target,
    })),
    Resources:
      spec.get('resources') ??
      given({ CPU: vm.get('cpu'), Memory: vm.get('memory'), Disk: vm.get('disk'), GPU: vm.get('gpu') }),
    Network: spec.get('network'),
    Timeouts: timeouts(spec.get('timeout')),
  });
}

interface TranslatedEngine {
  readonly engine: Source;
  readonly modules: readonly OldStorage[];
}

function translateEngine(spec: Folded, vm: Folded, faults: Faults): TranslatedEngine {
  const named = spec.object('enginespec');
  const type =
    named.text('type') || spec.text('engine') || (spec.has('wasm', 'jobspecwasm') ? 'wasm' : 'docker');
  const folded = type.toLowerCase();
  const params = named.object('params');
  if (folded === 'docker') {
    const source = named.has('params') ? params : vm;
    const engine = {
      Image: source.get('image'),
      Entrypoint: source.get('entrypoint'),
      Parameters: source.get('parameters'),
      EnvironmentVariables: source.get('environmentvariables', 'env'),
      WorkingDirectory: source.get('workingdirectory', 'workdir'),
    };
    return { engine: { Type: 'docker', Params: given(engine) }, modules: [] };
  }
  if (folded === 'wasm') {
    return translateWasm(named.has('params') ? params : spec.object('wasm', 'jobspecwasm'), faults);
  }
  if (NOTHING.has(folded)) return { engine: { Type: 'mock' }, modules: [] };
  return { engine: given({ Type: type, Params: named.get('params') }), modules: [] };
}

function translateWasm(wasm: Folded, faults: Faults): TranslatedEngine {
  const modules: OldStorage[] = [];
  const add = (value: unknown, fallback: string, path: string): string | undefined => {
    const [module] = storages(value === undefined ? [] : [value], path, faults);
    if (module === undefined) return undefined;
    const target = module.input.Target || module.name || fallback;
    modules.push({ ...module, input: { ...module.input, Target: target } });
    return target;
  };
  const entry = add(wasm.get('entrymodule'), ENTRY_TARGET, 'Spec.Wasm.EntryModule');
  const imports = wasm.get('importmodules');
  const params = {
    EntryModule: entry,
    Entrypoint: wasm.get('entrypoint'),
    Parameters: wasm.get('parameters'),
    EnvironmentVariables: wasm.get('environmentvariables'),
    ImportModules: Array.isArray(imports)
      ? imports.map((module, index) =>
          add(module, `import-${index}.wasm`, `Spec.Wasm.ImportModules[${index}]`),
        )
      : undefined,
  };
  return {
    engine: { Type: 'wasm', Params: given(params) },
    modules,
  };
}

/** The first releases had no publisher: their verifier "ipfs" kept the results. */
function publisher(spec: Folded): Source | undefined {
  const named = spec.object('publisherspec');
  const type = named.text('type') || spec.text('publisher');
  if (type !== '') {
    if (NOTHING.has(type.toLowerCase())) return { Type: 'none' };
    return given({ Type: type.toLowerCase(), Params: named.get('params') });
  }
  return spec.text('verifier').toLowerCase() === 'ipfs' ? { Type: 'ipfs' } : undefined;
}

/** Seconds, perhaps with a fraction; the largest of them meant none. */
function timeouts(timeout: unknown): Source | undefined {
  if (typeof timeout !== 'number') return timeout === undefined ? undefined : { ExecutionTimeout: timeout };
  return timeout >= NO_TIMEOUT_SECONDS ? undefined : { ExecutionTimeout: Math.ceil(timeout) };
}

function storages(value: unknown, path: string, faults: Faults): OldStorage[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    faults.mistyped(path, 'an array', value);
    return [];
  }
  const found: OldStorage[] = [];
  for (const [index, element] of value.entries()) {
    if (isObject(element)) found.push(translateStorage(new Folded(element)));
    else faults.mistyped(`${path}[${index}]`, 'an object', element);
  }
  return found;
}
