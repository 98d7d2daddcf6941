/** Environment variables, as text or absent. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** This process's environment: the one place that names it. */
export function processEnvironment(): Environment {
  return process.env;
}

/** Runs `run` with one more variable set, for a library that can be told in no other way. */
export function withVariable<T>(name: string, value: string, run: () => T): T {
  const before = process.env[name];
  process.env[name] = value;
  try {
    return run();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}
