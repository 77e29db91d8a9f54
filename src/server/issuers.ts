import type { KeyVerifier } from "../core/decision/ports.ts";
import { fetchSet } from "../jwt/fetch-set.ts";
import { createIssuerVerifier } from "../jwt/issuer-verifier.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import type { OutageLog } from "../telemetry/outage-log.ts";
import { createOutageLog } from "../telemetry/outage-log.ts";
import { issuerUnavailable } from "../telemetry/outage-messages.ts";
import { issuerCacheSize, tokenCacheSize } from "./cache-size.ts";
import type { Runtime } from "./runtime.ts";

/** A part of Envoy's default timeout (200 ms). */
const WAIT_MS = 150;

/**
 * Verifies keys at Checks: our own, and tokens of the policy's issuers. The key API uses `own` alone, so that tokens of other
 * issuers are not accepted there.
 */
export function withIssuers(
  { log, metrics, settings }: Pick<Runtime, "log" | "metrics" | "settings">,
  policy: ActivePolicy,
  own: KeyVerifier,
): KeyVerifier {
  const outages = new Map<string, OutageLog>();
  const issuers = createIssuerVerifier({
    policy: policy.current,
    fetchText: fetchSet,
    monotonicMs: () => performance.now(),
    waitMs: WAIT_MS,
    // An issuer can have more subjects than Latchkey has keys.
    cacheSize: (issuers) => issuerCacheSize(tokenCacheSize(settings.WORKERS), issuers),
    onFetch(issuer, error) {
      metrics.issuerFetched(issuer, error === undefined ? "taken" : "failed");
      const outage = outages.get(issuer) ?? createOutageLog(log, issuerUnavailable(issuer));
      outages.set(issuer, outage);
      if (error === undefined) outage.works({ issuer });
      else outage.failed({ issuer, err: error });
    },
  });
  issuers.prefetch();
  policy.onReload((reload) => {
    if (reload.kind === "taken") issuers.prefetch();
  });
  return { verify: (token, nowMs, client) => (issuers.of(token) ?? own).verify(token, nowMs, client) };
}
