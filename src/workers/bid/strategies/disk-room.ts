import type { DiskView } from '../../../capacity/disk-view.ts';
import { type QuickStrategy, YES } from '../strategy.ts';

/** The file system that jobs write to has room, whoever has filled it. A look only: nothing is reserved there. */
export function diskRoom(disk: DiskView): QuickStrategy {
  return {
    speed: 'quick',
    code: 'disk_low',
    decide: ({ resources }) => {
      const lack = disk.lack(resources.disk);
      return lack === undefined ? YES : { kind: 'no', final: false, ...lack };
    },
  };
}
