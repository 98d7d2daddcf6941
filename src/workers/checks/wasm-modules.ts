import { isObject, type Source } from './keys.ts';

/** Where a module without a target of its own is put. */
const ENTRY_TARGET = 'main.wasm';

/**
 * Bacalhau up to 1.6 names WASM modules by input source objects in the engine's parameters; since then they are
 * inputs, named by their targets. Returns the task in the newer form; a task in it already, or of another
 * engine, is returned as it is.
 * @param task a task under its canonical keys
 */
export function translateWasmModules(task: Source, warnings: Set<string>): Source {
  const engine = task['Engine'];
  if (!isObject(engine)) return task;
  const type = lookUp(engine, 'type');
  const params = lookUp(engine, 'params');
  if (typeof type !== 'string' || type.trim().toLowerCase() !== 'wasm' || !isObject(params)) return task;
  const entry = lookUp(params, 'entrymodule');
  const imports = lookUp(params, 'importmodules');
  const oldImports = Array.isArray(imports) && imports.some(isObject);
  if (!isObject(entry) && !oldImports) return task;

  const modules: unknown[] = [];
  const named = (module: unknown, fallback: string): unknown => {
    if (!isObject(module)) return module;
    const target = lookUp(module, 'target');
    const at = typeof target === 'string' && target !== '' ? target : fallback;
    modules.push({ Source: lookUp(module, 'source'), Alias: lookUp(module, 'alias'), Target: at });
    return at;
  };
  const modern: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(params)) {
    const folded = key.toLowerCase();
    if (folded === 'entrymodule') modern['EntryModule'] = named(value, ENTRY_TARGET);
    else if (folded === 'importmodules' && Array.isArray(value)) {
      modern['ImportModules'] = value.map((module, index) => named(module, `import-${index}.wasm`));
    } else if (key !== '__proto__') modern[key] = value;
  }
  warnings.add('wasm modules given as objects in the engine parameters were translated to input sources');
  const inputs = task['InputSources'];
  return {
    ...task,
    Engine: { Type: type, Params: modern },
    InputSources: Array.isArray(inputs) ? [...inputs, ...modules] : (inputs ?? modules),
  };
}

/** A key's value by any casing of its name. */
function lookUp(source: Source, folded: string): unknown {
  for (const key in source) if (key.toLowerCase() === folded) return source[key];
  return undefined;
}
