import { capacitySettings } from '../capacity/options.ts';
import { dockerSettings } from '../engines/docker/options.ts';
import { ipfsSettings } from '../ipfs/options.ts';
import { apiSettings } from '../net/api/options.ts';
import { p2pSettings } from '../net/p2p/options.ts';
import { nodeSettings } from '../node-options.ts';
import { bidSettings } from '../pipeline/bid/options.ts';
import { executeSettings } from '../pipeline/execute/options.ts';
import { publishSettings } from '../pipeline/publish/options.ts';
import { requesterSettings } from '../requester/options.ts';
import { storeSettings } from '../store/options.ts';
import { logSettings } from '../telemetry/options.ts';
import { workersSettings } from '../workers/options.ts';
import { limitsSettings } from './limits-options.ts';
import type { Setting } from './table.ts';

/** Rows that are shown together. */
export interface SettingGroup {
  readonly title: string;
  readonly settings: readonly Setting[];
}

/** The whole config table, in the order people read it. */
export const settingGroups: readonly SettingGroup[] = [
  { title: 'Node', settings: nodeSettings },
  { title: 'REST API', settings: apiSettings },
  { title: 'Swarm', settings: p2pSettings },
  { title: 'IPFS', settings: ipfsSettings },
  { title: 'Capacity', settings: capacitySettings },
  { title: 'Job selection', settings: bidSettings },
  { title: 'Execution', settings: executeSettings },
  { title: 'Docker', settings: dockerSettings },
  { title: 'Publishing', settings: publishSettings },
  { title: 'Requester', settings: requesterSettings },
  { title: 'Stores', settings: storeSettings },
  { title: 'Logging', settings: logSettings },
  { title: 'Threads', settings: workersSettings },
  { title: 'Bounds', settings: limitsSettings },
];

/** Every row. */
export const allSettings: readonly Setting[] = settingGroups.flatMap((group) => group.settings);

/** "BACALHAU_COMPUTE_ALLOCATEDCAPACITY_CPU" of "Compute.AllocatedCapacity.CPU". */
export function keyAsEnv(key: string): string {
  return `BACALHAU_${key.replaceAll('.', '_').toUpperCase()}`;
}

/** Environment variables of a row: the short ones first, then those made of its keys. */
export function envNames(setting: Setting): readonly string[] {
  const keys = [...(setting.keyEnv === false ? [] : [setting.key]), ...(setting.aliases ?? [])];
  return [...new Set([...(setting.env ?? []), ...keys.map(keyAsEnv)])];
}

/** Flags of a row without the dashes: the canonical one first. */
export function flagNames(setting: Setting): readonly string[] {
  return setting.flag === undefined ? [] : [setting.flag, ...(setting.flagAliases ?? [])];
}

/** Keys of a row in a file: the canonical one first. */
export function keyNames(setting: Setting): readonly string[] {
  return [setting.key, ...(setting.aliases ?? [])];
}

const byKey: ReadonlyMap<string, Setting> = new Map(
  allSettings.flatMap((setting) => keyNames(setting).map((key) => [key.toLowerCase(), setting] as const)),
);

/** The row of a key or an alias, in any case. */
export function settingOfKey(key: string): Setting | undefined {
  return byKey.get(key.toLowerCase());
}

/** Every key and alias, for suggestions. */
export const allKeys: readonly string[] = allSettings.flatMap(keyNames);
