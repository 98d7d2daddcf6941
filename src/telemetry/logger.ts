import { type Logger as PinoLogger, pino } from 'pino';

/** Structured logger: fields first, then the sentence. */
export type Logger = PinoLogger;

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

const SECRET_PATHS = [
  'authorization',
  'token',
  'password',
  'credential',
  '*.authorization',
  '*.token',
  '*.password',
  '*.credential',
];

/**
 * The node's root logger. Lines go to stderr: JSON in mode "json", else short text.
 * Values under names that hold secrets are never written.
 */
export function createLogger(options: {
  level: LogLevel;
  mode: 'default' | 'json';
  colour: boolean;
}): Logger {
  const base = { level: options.level, redact: { paths: SECRET_PATHS, censor: '********' } };
  if (options.mode === 'json') return pino(base, pino.destination({ fd: 2, sync: false }));
  return pino(
    { ...base, base: null },
    { write: (line: string) => void process.stderr.write(prettyLine(line, options.colour)) },
  );
}

const LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: 'TRC',
  20: 'DBG',
  30: 'INF',
  40: 'WRN',
  50: 'ERR',
  60: 'FTL',
};
const LEVEL_COLOURS: Readonly<Record<number, number>> = { 10: 90, 20: 90, 30: 36, 40: 33, 50: 31, 60: 31 };

function prettyLine(line: string, colour: boolean): string {
  const { time, level, msg, module, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  const name = LEVEL_NAMES[Number(level)] ?? '???';
  const tag = colour ? `\u001b[${LEVEL_COLOURS[Number(level)] ?? 0}m${name}\u001b[0m` : name;
  const rest = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const text = typeof err === 'object' && err !== null && 'message' in err ? `: ${String(err.message)}` : '';
  return `${clock} ${tag} ${typeof module === 'string' ? `${module}: ` : ''}${String(msg ?? '')}${text}${rest.join('')}\n`;
}
