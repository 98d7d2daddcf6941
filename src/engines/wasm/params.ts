import { NodeError } from '../../core/errors.ts';
import type { SpecConfig } from '../../core/job.ts';

/** `Engine.Params` of a wasm task (Bacalhau v1.9). */
export interface WasmParams {
  /** Target or alias of the input that has the module. */
  readonly entryModule: string;
  /** Exported function to call. */
  readonly entrypoint: string;
  /** Arguments after the program name. */
  readonly parameters: readonly string[];
  /** Targets or aliases of inputs with modules to import from, instantiated in this order. */
  readonly importModules: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

function wrong(name: string, expected: string, value: unknown): NodeError {
  const found = value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 100);
  return new NodeError(
    'WasmInvalid',
    `Tasks[0].Engine.Params.${name}: found ${found} (expected ${expected})`,
  );
}

function text(value: unknown, name: string, expected: string): string {
  if (typeof value !== 'string') throw wrong(name, expected, value);
  if (value.includes('\0')) throw wrong(name, `${expected}, without a NUL character`, value);
  return value;
}

function texts(value: unknown, name: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrong(name, 'a list of strings', value);
  return value.map((item: unknown, index) => text(item, `${name}[${index}]`, 'a string'));
}

function environment(value: unknown): Record<string, string> {
  const name = 'EnvironmentVariables';
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw wrong(name, 'a map of strings', value);
  const found: Record<string, string> = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === '' || key.includes('=') || key.includes('\0')) {
      throw wrong(name, 'names without "=" in them', key);
    }
    found[key] = text(item, `${name}.${key}`, 'a string');
  }
  return found;
}

/**
 * Reads the parameters of a wasm task.
 * @throws NodeError WasmInvalid
 */
export function parseWasmParams(engine: SpecConfig): WasmParams {
  const params = engine.Params ?? {};
  const entryModule = text(params['EntryModule'], 'EntryModule', 'the Target or Alias of an input');
  if (entryModule === '') throw wrong('EntryModule', 'the Target or Alias of an input', entryModule);
  // v1.2 spelled it EntryPoint.
  const entrypoint = params['Entrypoint'] ?? params['EntryPoint'] ?? '';
  return {
    entryModule,
    entrypoint: text(entrypoint, 'Entrypoint', 'the name of an exported function') || '_start',
    parameters: texts(params['Parameters'], 'Parameters'),
    importModules: texts(params['ImportModules'], 'ImportModules'),
    environment: environment(params['EnvironmentVariables']),
  };
}
