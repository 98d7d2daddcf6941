import type { Setting, SettingReader } from '../config/table.ts';
import type { LogLevel } from './logger.ts';

/** What is logged, and how. */
export interface LogConfig {
  readonly level: LogLevel;
  readonly mode: 'default' | 'json';
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly LogLevel[];

export const logSettings: readonly Setting[] = [
  {
    key: 'Logging.Level',
    aliases: ['Node.LoggingLevel'],
    flag: 'log-level',
    env: ['LOG_LEVEL'],
    kind: 'string',
    choices: LEVELS,
    default: 'info',
    doc: 'Least severe lines that are logged.',
  },
  {
    key: 'Logging.Mode',
    aliases: ['Node.LoggingMode'],
    flag: 'log-mode',
    env: ['LOG_TYPE'],
    kind: 'string',
    choices: ['default', 'json'],
    default: 'default',
    doc: 'Short text for people, or one JSON object a line.',
  },
];

export function readLog(settings: SettingReader): LogConfig {
  const level = settings.text('Logging.Level');
  return {
    level: LEVELS.find((known) => known === level) ?? 'info',
    mode: settings.text('Logging.Mode') === 'json' ? 'json' : 'default',
  };
}
