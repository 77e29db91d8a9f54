import { isLocal } from "../config/setting-problems.ts";
import type { Settings } from "../config/settings.ts";
import { createChargeLedger } from "../core/charges/charge-ledger.ts";
import type { ReceiveCharge, SettledCharge } from "../core/charges/charge-receiver.ts";
import { createChargeReceiver } from "../core/charges/charge-receiver.ts";
import type { ChargeTickets } from "../core/charges/charge-ticket.ts";
import type { AuthorizePorts } from "../core/decision/request-context.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import { createChargeTickets } from "../tickets/charge-tickets.ts";
import type { Audit } from "./audit.ts";
import type { Stores } from "./ports.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";
import type { Metering } from "./usage.ts";

const POST_EVERY_MS = 1000;

export interface ChargesDeps {
  readonly ports: Pick<AuthorizePorts, "policy" | "overrides">;
  readonly stores: Pick<Stores, "chargedQuotas">;
  /** Seal and verify the tickets. */
  readonly keyHashSecrets: readonly [string, ...string[]];
  readonly metering: Pick<Metering, "meter">;
  readonly audit: Pick<Audit, "onCharge">;
}

/** Charging after the response: the ticket of each admitted request, and what becomes of it. */
export interface Charges {
  readonly tickets: ChargeTickets;
  readonly receive: ReceiveCharge;
}

export function createCharges(runtime: Runtime, deps: ChargesDeps): Charges {
  const { settings, shutdown, log, metrics, clock } = runtime;
  const { ports, stores, keyHashSecrets, metering, audit } = deps;
  const { storeNowMs } = clock;
  const tickets = createChargeTickets({ secrets: keyHashSecrets, storeNowMs });
  const ledger = createChargeLedger({ counters: stores.chargedQuotas });
  const stop = repeat(POST_EVERY_MS, ...logTransitions(ledger.post, log, OUTAGES.charges));
  shutdown.defer("the charges", async () => {
    await stop();
    await ledger.post().catch(() => undefined);
  });
  const isServed = isReachedByProxyOnly(settings);
  if (!isServed && ports.policy().units.size > 0) log.warn({}, FAULTS.chargesNotServed);
  const onSettled = (settled: SettledCharge) => {
    metrics.charged(settled);
    meterCharge(metering, settled);
    audit.onCharge(settled);
  };
  return {
    tickets,
    receive: createChargeReceiver({
      ...ports,
      tickets,
      ledger,
      counters: stores.chargedQuotas,
      storeNowMs,
      isServed,
      onSettled,
    }),
  };
}

/** Routes in shadow mode have no usage. */
function meterCharge(
  { meter }: Pick<Metering, "meter">,
  { result, unit, amount, ticket }: SettledCharge,
): void {
  const counts = result === "charged" || result === "fallback";
  if (!counts || unit === undefined || ticket === undefined || ticket.grant.mode === "shadow") return;
  if (amount > 0) meter?.charge(ticket.key, unit, amount);
}

/** The listener has no credentials of its own: what can connect to it can send charges. */
export function isReachedByProxyOnly({
  GRPC_LISTEN,
  GRPC_TLS_CLIENT_CA,
}: Pick<Settings, "GRPC_LISTEN" | "GRPC_TLS_CLIENT_CA">): boolean {
  return isLocal(GRPC_LISTEN) || GRPC_TLS_CLIENT_CA !== undefined;
}
