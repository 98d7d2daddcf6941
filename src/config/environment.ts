/** Environment variables, as text or absent. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** This process's environment: the one place that names it. */
export function processEnvironment(): Environment {
  return process.env;
}
