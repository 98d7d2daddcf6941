function pad(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}

/** "15:27:28" in local time, with milliseconds where asked for. */
export function clockTime(ms: number, millis = false): string {
  if (ms === 0) return '';
  const at = new Date(ms);
  const text = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return millis ? `${text}.${pad(at.getMilliseconds(), 3)}` : text;
}

/** "2026-11-22 15:27:28" in local time. */
export function dateTime(ms: number): string {
  if (ms === 0) return '';
  const at = new Date(ms);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clockTime(ms)}`;
}

/** Time alone for today, date and time for other days. */
export function shortTime(ms: number, wide: boolean): string {
  if (wide || new Date(ms).toDateString() !== new Date().toDateString()) return dateTime(ms);
  return clockTime(ms);
}

/** "0s ago", "5m ago", "3h ago", "2d ago". */
export function ago(ms: number, nowMs: number): string {
  if (ms === 0) return '';
  const seconds = Math.max(0, Math.floor((nowMs - ms) / 1000));
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h ago` : `${Math.floor(seconds / 86_400)}d ago`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** "20 GB", "2.0 GB", "512 B": decimal units, one place below ten. */
export function size(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[power] ?? 'B'}`;
}
