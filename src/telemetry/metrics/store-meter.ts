import type { LostWriteOutcome } from "../../core/keys/lost-record.ts";
import { LOST_WRITE_OUTCOMES } from "../../core/keys/lost-record.ts";
import type { Instruments } from "./instruments.ts";

/** How a command failed: no connection, no response in time, an error as the response, or a fault of the embedded store. */
export type StoreFault = "connection" | "timeout" | "reply" | "fault";

const FAULTS: readonly StoreFault[] = ["connection", "timeout", "reply", "fault"];

/** What an instance measures of its store. */
export interface StoreMeter {
  /** A command has ended. Its name comes from our code. `fault` is set if it failed. */
  command(name: string, elapsedMs: number, fault?: StoreFault): void;
  /** Whether the store accepts writes. */
  up(isUp: boolean): void;
  /** What `up` was called with last. */
  isUp(): boolean;
  /** The primary of Redis to which the instance is connected. @param address without credentials */
  primary(topology: string, address: string): void;
  /** The number of slots of the Cluster that have no primary that works. */
  uncoveredSlots(count: number): void;
  /** The instance has moved to another primary. */
  failover(): void;
  /** Redis had lost changes of this instance. */
  lostWrite(outcome: LostWriteOutcome | "unremembered", changes: number): void;
  /** A request to the shared buckets has ended. */
  leases(what: "granted" | "refused" | "failed" | "returned", tokens: number): void;
}

export function createStoreMeter(instruments: Instruments): StoreMeter {
  const { storeUp, storeCommands, storeErrors, leases, leaseTokens, redisPrimary } = instruments;
  let isUp = false;
  const durations = new Map<string, { observe(seconds: number): void }>();
  /** Reports zero errors from the first use of a command. */
  const initCommand = (command: string) => {
    const duration = storeCommands.labels({ command });
    durations.set(command, duration);
    for (const kind of FAULTS) storeErrors.inc({ command, kind }, 0);
    return duration;
  };
  for (const result of ["granted", "refused", "failed", "returned"]) leases.inc({ result }, 0);
  for (const outcome of [...LOST_WRITE_OUTCOMES, "unremembered"]) instruments.lostWrites.inc({ outcome }, 0);
  for (const outcome of ["granted", "returned"]) leaseTokens.inc({ outcome }, 0);
  return {
    command(name, elapsedMs, fault) {
      (durations.get(name) ?? initCommand(name)).observe(elapsedMs / 1000);
      if (fault !== undefined) storeErrors.inc({ command: name, kind: fault });
    },
    primary(topology, address) {
      redisPrimary.reset();
      redisPrimary.set({ topology, address }, 1);
    },
    uncoveredSlots: (count) => instruments.redisUncoveredSlots.set(count),
    lostWrite: (outcome, changes) => instruments.lostWrites.inc({ outcome }, changes),
    failover: () => instruments.redisFailovers.inc(),
    up(up) {
      isUp = up;
      storeUp.set(up ? 1 : 0);
    },
    isUp: () => isUp,
    leases(what, tokens) {
      leases.inc({ result: what });
      if (tokens > 0) leaseTokens.inc({ outcome: what }, tokens);
    },
  };
}
