/**
 * Where a reservation stands. At rest it is what the accounts hold for it; on its way from one rest to the next it
 * belongs to the one writer that moves it.
 */
export const Rest = {
  /** No item has it. */
  free: 0,
  /** An item has it, nothing is held. */
  open: 1,
  /** Offered: in `promised`, and ends by itself unless it is accepted. */
  leased: 2,
  /** Accepted and waiting: in `promised`. */
  accepted: 3,
  /** Between the accounts: in both. */
  both: 4,
  /** Running, its GPUs not assigned (yet, or any more): in `used`. */
  used: 5,
  /** Running with its GPUs: in `used`, and in the set of devices. */
  assigned: 6,
  /** The run has ended: its disk alone is in `used`. */
  disk: 7,
} as const;

/** The words that amounts are held in. */
export const Account = { promised: 0, used: 1, devices: 2 } as const;

type RestName = keyof typeof Rest;

/** One atomic change of one account on a reservation's way. */
export interface Step {
  /** Phase while the step is being made; above all of `Rest`. */
  readonly phase: number;
  readonly from: number;
  readonly to: number;
  readonly account: number;
  /** Which amount of the reservation is added or taken off. */
  readonly amount: 'promised' | 'used' | 'run' | 'disk' | 'devices';
  readonly sign: 1 | -1;
}

function step(
  phase: number,
  from: RestName,
  to: RestName,
  account: keyof typeof Account,
  amount: Step['amount'],
  sign: 1 | -1,
): Step {
  return { phase, from: Rest[from], to: Rest[to], account: Account[account], amount, sign };
}

type StepName =
  | 'lease'
  | 'withdraw'
  | 'cancel'
  | 'admit'
  | 'shift'
  | 'assign'
  | 'unassign'
  | 'stop'
  | 'drop'
  | 'keep';

/** Every way capacity is taken and given back. A dead writer's step has happened or not; nothing is in between. */
export const steps: Readonly<Record<StepName, Step>> = {
  lease: step(8, 'open', 'leased', 'promised', 'promised', 1),
  withdraw: step(9, 'leased', 'open', 'promised', 'promised', -1),
  cancel: step(10, 'accepted', 'open', 'promised', 'promised', -1),
  admit: step(11, 'accepted', 'both', 'used', 'used', 1),
  shift: step(12, 'both', 'used', 'promised', 'promised', -1),
  assign: step(13, 'used', 'assigned', 'devices', 'devices', 1),
  unassign: step(14, 'assigned', 'used', 'devices', 'devices', -1),
  stop: step(15, 'used', 'disk', 'used', 'run', -1),
  drop: step(16, 'disk', 'open', 'used', 'disk', -1),
  /** A finished execution found at a restart holds its disk again. */
  keep: step(17, 'open', 'disk', 'used', 'disk', 1),
};

const BY_PHASE: ReadonlyMap<number, Step> = new Map(Object.values(steps).map((one) => [one.phase, one]));

/** The step that a phase belongs to; undefined for a rest. */
export function stepOf(phase: number): Step | undefined {
  return BY_PHASE.get(phase);
}
