import type { OneServer } from "../redis/one-server.ts";
import { createOneServer } from "../redis/one-server.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { StoreMeter } from "../telemetry/metrics/store-meter.ts";
import type { StorePlace } from "./ports.ts";

export interface PrimaryWatch {
  readonly server: OneServer;
  /** Undefined before the first connection. */
  place(): StorePlace | undefined;
}

/**
 * Keeps all connections of the instance on one primary. Logs and counts each move to another one.
 * @param onMove called after a move: the new primary may lack the last writes
 */
export function followPrimary(
  log: Log,
  meter: Pick<StoreMeter, "primary" | "failover">,
  { nowMs, onMove }: { readonly nowMs: () => number; readonly onMove: () => void },
): PrimaryWatch {
  let place: StorePlace | undefined;
  const server = createOneServer(({ topology, address }, before) => {
    meter.primary(topology, address);
    place = { failovers: 0, ...place, topology, primary: address };
    if (before === undefined) return;
    place = { ...place, failovers: place.failovers + 1, lastFailoverMs: nowMs() };
    meter.failover();
    onMove();
    log.warn({ topology, address, previousAddress: before.address }, FAULTS.failover);
  });
  return { server, place: () => place };
}

/** Logs that the files of TLS with Redis cannot be used, and when they can be used again. */
export function logRedisTls(log: Log): (problem: string | undefined) => void {
  return (problem) => {
    if (problem === undefined) log.info({}, "the files of TLS with Redis can be used again");
    else log.error({ problem }, FAULTS.redisTlsRejected);
  };
}
