import { fstatSync } from 'node:fs';
import { Clockid, Errno, Eventtype, Rights, SUBCLOCK_ABSTIME } from '../abi.ts';
import { sleep } from '../clocks.ts';
import { errnoOf, fault } from '../fault.ts';
import type { WasiHost } from '../host.ts';
import type { GuestMemory } from '../memory.ts';
import type { WasiCalls } from './call.ts';

const SUBSCRIPTION_BYTES = 48;
const EVENT_BYTES = 32;
const MOST_SUBSCRIPTIONS = 4096;
const HANGUP = 1;

interface Event {
  readonly userdata: bigint;
  readonly type: number;
  readonly error: Errno;
  readonly bytes: bigint;
  readonly flags: number;
}

interface Alarm {
  readonly userdata: bigint;
  /** Nanoseconds from now. */
  readonly left: bigint;
}

function readiness(host: WasiHost, memory: GuestMemory, at: number, type: number): Event {
  const userdata = memory.getU64(at);
  const failed = (error: Errno): Event => ({ userdata, type, error, bytes: 0n, flags: 0 });
  try {
    const descriptor = host.descriptors.get(memory.getU32(at + 16));
    const right = type === Eventtype.FD_READ ? Rights.FD_READ : Rights.FD_WRITE;
    if (descriptor.kind === 'directory' || (descriptor.rights & right) === 0) return failed(Errno.BADF);
    // Files never block; a stdin with nothing in it is at its end, which reads without waiting.
    const event = { userdata, type, error: Errno.SUCCESS };
    if (type === Eventtype.FD_WRITE) return { ...event, bytes: 0n, flags: 0 };
    if (descriptor.kind !== 'file') return { ...event, bytes: 0n, flags: HANGUP };
    const left = Math.max(0, fstatSync(descriptor.fd).size - descriptor.position);
    return { ...event, bytes: BigInt(left), flags: 0 };
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === undefined) throw thrown;
    return failed(errno);
  }
}

function alarmOf(host: WasiHost, memory: GuestMemory, at: number): Alarm | Event {
  const userdata = memory.getU64(at);
  const clock = memory.getU32(at + 16);
  const timeout = memory.getU64(at + 24);
  if (clock !== Clockid.REALTIME && clock !== Clockid.MONOTONIC) {
    return { userdata, type: Eventtype.CLOCK, error: Errno.INVAL, bytes: 0n, flags: 0 };
  }
  const absolute = (memory.getU16(at + 40) & SUBCLOCK_ABSTIME) !== 0;
  return { userdata, left: absolute ? timeout - host.clocks.now(clock) : timeout };
}

function putEvents(memory: GuestMemory, pointer: number, events: readonly Event[]): void {
  events.forEach((event, index) => {
    const at = pointer + index * EVENT_BYTES;
    memory.bytes(at, EVENT_BYTES).fill(0);
    memory.setU64(at, event.userdata);
    memory.setU16(at + 8, event.error);
    memory.setU8(at + 10, event.type);
    memory.setU64(at + 16, event.bytes);
    memory.setU16(at + 24, event.flags);
  });
}

/** Waiting. */
export const pollCalls: WasiCalls = {
  poll_oneoff(
    host: WasiHost,
    memory: GuestMemory,
    subscriptions: number,
    eventsAt: number,
    count: number,
    result: number,
  ) {
    if (count === 0 || count >>> 0 > MOST_SUBSCRIPTIONS) throw fault(Errno.INVAL);
    memory.bytes(eventsAt, count * EVENT_BYTES);
    const events: Event[] = [];
    const alarms: Alarm[] = [];
    for (let index = 0; index < count; index++) {
      const at = subscriptions + index * SUBSCRIPTION_BYTES;
      const type = memory.getU8(at + 8);
      if (type === Eventtype.CLOCK) {
        const alarm = alarmOf(host, memory, at);
        if ('left' in alarm) alarms.push(alarm);
        else events.push(alarm);
      } else if (type === Eventtype.FD_READ || type === Eventtype.FD_WRITE) {
        events.push(readiness(host, memory, at, type));
      } else {
        throw fault(Errno.INVAL);
      }
    }
    let waited = 0n;
    if (events.length === 0) {
      waited = alarms.reduce((soonest, { left }) => (left < soonest ? left : soonest), alarms[0]?.left ?? 0n);
      sleep(waited);
    }
    for (const { userdata, left } of alarms) {
      if (left > waited) continue;
      events.push({ userdata, type: Eventtype.CLOCK, error: Errno.SUCCESS, bytes: 0n, flags: 0 });
    }
    putEvents(memory, eventsAt, events);
    memory.setU32(result, events.length);
    return Errno.SUCCESS;
  },
};
