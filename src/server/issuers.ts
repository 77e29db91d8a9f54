import type { CheckFacts } from "../core/audit/ports.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import { fetchSet } from "../jwt/fetch-set.ts";
import { createIssuerVerifier } from "../jwt/issuer-verifier.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { issuerFaulted } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";

/** Verified tokens kept, for each issuer: some 600 bytes each. */
const CACHE_SIZE = 50_000;
/** A part of Envoy's default patience (200 ms). */
const WAIT_MS = 150;

/** Logs for operators why a credential was rejected. The credential itself is not logged. */
export function logRejections(
  log: Log,
  metrics: Metrics,
): (decision: Decision, about: Pick<CheckFacts, "decisionId">) => void {
  return (decision, { decisionId }) => {
    if (decision.verdict === "allow" || decision.rejection === undefined) return;
    metrics.tokenRejected(decision.rejection);
    log.debug({ ...decision.rejection, decisionId }, "a credential was refused");
  };
}

export interface IssuerOptions {
  readonly policy: ActivePolicy;
  readonly log: Log;
}

/**
 * What verifies keys at Checks: ours, and tokens of the policy's issuers. The key API takes `own` alone, so that no other
 * party's token opens it.
 */
export function withIssuers({ policy, log }: IssuerOptions, own: KeyVerifier, metrics: Metrics): KeyVerifier {
  const away = new Set<string>();
  const issuers = createIssuerVerifier({
    policy: policy.current,
    fetchText: fetchSet,
    monotonicMs: () => performance.now(),
    waitMs: WAIT_MS,
    cacheSize: CACHE_SIZE,
    onFetch(issuer, error) {
      metrics.issuerFetched(issuer, error === undefined ? "taken" : "failed");
      if (error !== undefined && !away.has(issuer)) log.warn({ issuer, err: error }, issuerFaulted(issuer));
      if (error === undefined && away.has(issuer)) log.info({ issuer }, `the issuer ${issuer} answers again`);
      if (error === undefined) away.delete(issuer);
      else away.add(issuer);
    },
  });
  issuers.prefetch();
  policy.onReload((reload) => {
    if (reload.kind === "taken") issuers.prefetch();
  });
  return { verify: (token, nowMs, client) => (issuers.of(token) ?? own).verify(token, nowMs, client) };
}
