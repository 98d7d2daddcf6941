import { NO_TIMEOUT_SECONDS } from '../../core/duration.ts';
import { toErrorData } from '../../core/errors.ts';
import { typeKey } from '../../core/headers.ts';
import type { InputSource, ResourcesConfig, ResultPath, Task, TimeoutConfig } from '../../core/job.ts';
import { parseBytes, parseCpu, parseGpu } from '../../core/resources.ts';
import { parseMockParams } from '../../engines/mock/params.ts';
import type { Faults } from './faults.ts';
import { entryPath } from './keys.ts';
import { validateName } from './names.ts';
import { validateParams } from './params.ts';
import { validateNetwork } from './validate-network.ts';

/** Names v1.9 allows for a task's environment variables. */
const ENV_NAME = /^[A-Z][A-Z0-9_]*$/;
const ENV_RESERVED = 'BACALHAU_';
/** Files the node itself writes beside the folders of the result paths. */
const RESERVED_RESULTS: ReadonlySet<string> = new Set(['stdout', 'stderr', 'exitcode']);
/** The longest name of one file on Linux. */
const FILE_NAME_BYTES = 255;

/** The rules of one task. */
export function validateTask(task: Task, path: string, faults: Faults): void {
  if (task.Name.trim() === '') {
    faults.missing(path, 'Name', 'missing task name (expected text such as "main")');
  } else validateName(task.Name, `${path}.Name`, faults);
  if (task.Engine.Type === '') {
    faults.missing(
      `${path}.Engine`,
      'Type',
      'missing engine type (expected "docker", "wasm" or another engine)',
    );
  }
  validateEngine(task, `${path}.Engine`, faults);
  validateParams(task.Publisher, 'publisher', `${path}.Publisher`, faults);
  validateEnv(task.Env ?? {}, `${path}.Env`, faults);
  validateInputs(task, `${path}.InputSources`, faults);
  validateResults(task.ResultPaths ?? [], `${path}.ResultPaths`, faults);
  validateResources(task.Resources, `${path}.Resources`, faults);
  validateNetwork(task.Network, `${path}.Network`, faults);
  validateTimeouts(task.Timeouts, `${path}.Timeouts`, faults);
}

function validateEngine(task: Task, path: string, faults: Faults): void {
  validateParams(task.Engine, 'engine', path, faults);
  const params = task.Engine.Params ?? {};
  switch (typeKey(task.Engine.Type)) {
    case 'docker': {
      const workingDirectory = params['WorkingDirectory'];
      if (
        typeof workingDirectory === 'string' &&
        workingDirectory !== '' &&
        !workingDirectory.startsWith('/')
      ) {
        faults.add(`${path}.Params.WorkingDirectory`, 'must be an absolute path or empty');
      }
      const variables = params['EnvironmentVariables'];
      if (Array.isArray(variables))
        validateVariables(variables, `${path}.Params.EnvironmentVariables`, faults);
      return;
    }
    case 'wasm': {
      validateModule(task, params['EntryModule'], `${path}.Params.EntryModule`, faults);
      const imports = params['ImportModules'];
      if (!Array.isArray(imports)) return;
      for (const [index, module] of imports.entries()) {
        validateModule(task, module, `${path}.Params.ImportModules[${index}]`, faults);
      }
      return;
    }
    case 'mock':
      validateMock(task, `${path}.Params`, faults);
      return;
    default:
  }
}

function validateMock(task: Task, path: string, faults: Faults): void {
  try {
    parseMockParams(task.Engine.Params);
  } catch (thrown) {
    faults.add(path, toErrorData(thrown).message.replace('Tasks[0].Engine.Params.', ''));
  }
}

function validateVariables(variables: readonly unknown[], path: string, faults: Faults): void {
  for (const [index, variable] of variables.entries()) {
    if (typeof variable === 'string' && (variable.indexOf('=') < 1 || variable.includes('\0'))) {
      faults.add(`${path}[${index}]`, 'expected "NAME=value"');
    }
  }
}

/** A module is an input, by target or alias, or a file below one. */
function validateModule(task: Task, module: unknown, path: string, faults: Faults): void {
  if (typeof module !== 'string' || module === '') return;
  for (const { Target, Alias } of task.InputSources ?? []) {
    if (
      module === Target ||
      module === Alias ||
      module.startsWith(Target.endsWith('/') ? Target : `${Target}/`)
    )
      return;
  }
  faults.add(
    path,
    `no input source has the target ${JSON.stringify(module)} (expected the target or alias of one)`,
  );
}

function validateEnv(env: Readonly<Record<string, string>>, path: string, faults: Faults): void {
  for (const name in env) {
    if (!ENV_NAME.test(name)) {
      faults.add(
        entryPath(path, name),
        'the name must be upper-case letters, digits and underscores, and begin with a letter',
      );
    } else if (name.startsWith(ENV_RESERVED)) {
      faults.add(entryPath(path, name), `names that begin with ${ENV_RESERVED} are reserved`);
    }
    const value = env[name] ?? '';
    if (value === '') faults.add(entryPath(path, name), 'the value must not be empty');
    else if (value.includes('\0')) faults.add(entryPath(path, name), 'the value contains a NUL character');
  }
}

function validateInputs(task: Task, path: string, faults: Faults): void {
  const inputs = task.InputSources ?? [];
  const aliases = new Map<string, number>();
  const targets = new Map<string, number>();
  const relative = typeKey(task.Engine.Type) === 'wasm';
  for (const [index, input] of inputs.entries()) {
    const at = `${path}[${index}]`;
    validateSource(input, `${at}.Source`, faults);
    if (input.Target === '') {
      faults.missing(at, 'Target', 'missing (expected the absolute path where the job sees the input)');
    } else {
      if (!relative && !input.Target.startsWith('/')) {
        faults.add(`${at}.Target`, `${JSON.stringify(input.Target)} is relative (expected an absolute path)`);
      }
      validatePathParts(input.Target, `${at}.Target`, faults);
      unique(targets, input.Target, index, `${at}.Target`, `${path}[n].Target`, faults);
    }
    if (input.Alias !== '') unique(aliases, input.Alias, index, `${at}.Alias`, `${path}[n].Alias`, faults);
  }
}

function validateSource({ Source }: InputSource, path: string, faults: Faults): void {
  if (Source.Type === '') {
    faults.missing(
      path,
      'Type',
      'missing storage type (expected "ipfs", "urlDownload", "inline", "localDirectory" or another)',
    );
    return;
  }
  validateParams(Source, 'storage', path, faults);
  const url = Source.Params?.['URL'];
  const type = typeKey(Source.Type);
  if (typeof url === 'string' && url !== '') {
    if (type === 'inline' && !url.startsWith('data:')) {
      faults.add(`${path}.Params.URL`, 'expected a data URL ("data:...")');
    } else if (type === 'urldownload' && !isHttpUrl(url)) {
      faults.add(`${path}.Params.URL`, 'expected an http or https URL');
    }
  }
  const local = Source.Params?.['SourcePath'];
  if ((type === 'localdirectory' || type === 'local') && typeof local === 'string' && local !== '') {
    if (!local.startsWith('/')) faults.add(`${path}.Params.SourcePath`, 'expected an absolute path');
    validatePathParts(local, `${path}.Params.SourcePath`, faults);
  }
}

function isHttpUrl(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}

function validateResults(results: readonly ResultPath[], path: string, faults: Faults): void {
  const names = new Map<string, number>();
  const paths = new Map<string, number>();
  for (const [index, result] of results.entries()) {
    const at = `${path}[${index}]`;
    if (result.Name === '') faults.missing(at, 'Name', 'missing (expected the name of a folder)');
    else {
      validateResultName(result.Name, `${at}.Name`, faults);
      unique(names, result.Name, index, `${at}.Name`, `${path}[n].Name`, faults);
    }
    if (result.Path === '') {
      faults.missing(at, 'Path', 'missing (expected the absolute path of a folder the job writes)');
      continue;
    }
    if (!result.Path.startsWith('/')) {
      faults.add(`${at}.Path`, `${JSON.stringify(result.Path)} is relative (expected an absolute path)`);
    } else if (/^\/+$/.test(result.Path)) {
      faults.add(`${at}.Path`, 'the root directory cannot be a result path');
    }
    validatePathParts(result.Path, `${at}.Path`, faults);
    unique(paths, result.Path, index, `${at}.Path`, `${path}[n].Path`, faults);
  }
}

/** The name becomes a folder beside the node's own files, so it must be one safe path component. */
function validateResultName(name: string, path: string, faults: Faults): void {
  if (name === '.' || name === '..' || /[/\\\0]/.test(name)) {
    faults.add(path, `${JSON.stringify(name)} is not the name of one folder (no "/", "\\", "." or "..")`);
  } else if (RESERVED_RESULTS.has(name.toLowerCase())) {
    faults.add(path, `${JSON.stringify(name)} is a file of every result (expected another name)`);
  } else if (Buffer.byteLength(name) > FILE_NAME_BYTES) {
    faults.add(path, `is longer than a file's name may be (${FILE_NAME_BYTES} bytes)`);
  }
}

function validatePathParts(text: string, path: string, faults: Faults): void {
  if (text.includes('\0')) faults.add(path, 'contains a NUL character');
  if (text.includes('..') && text.split('/').includes('..')) {
    faults.add(path, 'contains ".." (expected a path without it)');
  }
}

function unique(
  seen: Map<string, number>,
  value: string,
  index: number,
  at: string,
  first: string,
  faults: Faults,
): void {
  const before = seen.get(value);
  if (before === undefined) seen.set(value, index);
  else faults.add(at, `duplicate of ${first.replace('[n]', `[${before}]`)} (${JSON.stringify(value)})`);
}

function validateResources(resources: ResourcesConfig, path: string, faults: Faults): void {
  const check = (key: keyof ResourcesConfig, parse: (text: string) => number): void => {
    const text = resources[key];
    if (text === undefined) return;
    try {
      parse(text);
    } catch (thrown) {
      faults.add(`${path}.${key}`, toErrorData(thrown).message);
    }
  };
  check('CPU', parseCpu);
  check('Memory', (text) => parseBytes(text, 'memory'));
  check('Disk', (text) => parseBytes(text, 'disk'));
  check('GPU', parseGpu);
}

function validateTimeouts(timeouts: TimeoutConfig, path: string, faults: Faults): void {
  for (const key of ['ExecutionTimeout', 'QueueTimeout', 'TotalTimeout'] as const) {
    const seconds = timeouts[key] ?? 0;
    if (seconds < 0) faults.add(`${path}.${key}`, `must be >= 0 seconds (got ${seconds})`);
    else if (seconds > NO_TIMEOUT_SECONDS) {
      faults.add(`${path}.${key}`, `must be <= ${NO_TIMEOUT_SECONDS} seconds (got ${seconds})`);
    }
  }
  const { ExecutionTimeout = 0, QueueTimeout = 0, TotalTimeout = 0 } = timeouts;
  if (TotalTimeout > 0 && ExecutionTimeout + QueueTimeout > TotalTimeout) {
    faults.add(
      `${path}.TotalTimeout`,
      `execution timeout ${ExecutionTimeout}s and queue timeout ${QueueTimeout}s must not exceed the total timeout ${TotalTimeout}s together`,
    );
  }
}
