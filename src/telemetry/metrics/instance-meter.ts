import type { SettledCharge } from "../../core/charges/charge-receiver.ts";
import type { RejectedToken } from "../../core/decision/token-rejection.ts";
import type { Instruments } from "./instruments.ts";

/** The label of credentials that belong to no issuer of the policy, whose names begin with a letter. */
const OTHER_ISSUER = "_other";

export const GRPC_SHADOW_RESULTS = [
  "equal",
  "request_differs",
  "response_differs",
  "skipped",
  "failed",
] as const;
export type GrpcShadowResult = (typeof GRPC_SHADOW_RESULTS)[number];

/** Metrics of the audit log, the policy, the signing keys and the certificates of an instance. */
export interface InstanceMeter {
  auditLines(
    kind: "lifecycle" | "request" | "access" | "quota" | "charge" | "gap" | "dropped",
    lines: number,
  ): void;
  auditDropped(lines: number): void;
  auditThrottled(lines: number): void;
  policyReload(result: "taken" | "refused"): void;
  keysReload(result: "taken" | "refused"): void;
  /** A clock has jumped: this machine's, or the store's. */
  clockJumped(clock: "wall" | "store"): void;
  issuerFetched(issuer: string, result: "taken" | "failed"): void;
  /** A key has a plan that the policy does not have. */
  unknownPlan(): void;
  tokenRejected(refused: RejectedToken): void;
  /** A response of the forward-auth listener. */
  forwardAuthAnswer(form: "envoy" | "forward" | "original" | "none", status: number): void;
  /** Calls that were compared with the shadow of the gRPC server, or could not be. */
  grpcShadowCompared(result: GrpcShadowResult, calls: number): void;
  /** A descriptor of Envoy's Rate Limit Service. `domain` is one of the policy's, or `none`. */
  rateLimitDecided(domain: string, result: string): void;
  /** A charge after the response has been counted, or not accepted. */
  charged(settled: Pick<SettledCharge, "result" | "unit" | "amount">): void;
  /** The certificate that a listener presents. */
  certificate(listener: "GRPC" | "HTTP" | "AUTH", endsAtMs: number): void;
  /** The keys in force; the first kid signs. */
  signingKeys(ring: { readonly kids: readonly string[] }): void;
  /** When keys were added, Unix milliseconds: of those of which it is known. */
  signingKeysAdded(addedAtMs: ReadonlyMap<string, number>): void;
  /** Brings up to this time what grows by itself. */
  atTime(nowMs: number): void;
}

export function createInstanceMeter(instruments: Instruments): InstanceMeter {
  const { auditLines, auditDropped, policyReloads, keysReloads, signingKeyInfo, signingKeyAge } = instruments;
  let kids: readonly string[] = [];
  let addedAtMs: ReadonlyMap<string, number> = new Map();
  for (const reloads of [policyReloads, keysReloads])
    for (const result of ["taken", "refused"]) reloads.inc({ result }, 0);
  for (const clock of ["wall", "store"]) instruments.clockJumps.inc({ clock }, 0);
  for (const kind of ["lifecycle", "request", "access", "quota", "charge", "gap", "dropped"])
    auditLines.inc({ kind }, 0);
  for (const result of GRPC_SHADOW_RESULTS) instruments.grpcShadow.inc({ result }, 0);
  return {
    auditLines: (kind, lines) => auditLines.inc({ kind }, lines),
    auditDropped: (lines) => auditDropped.inc(lines),
    auditThrottled: (lines) => instruments.auditThrottled.inc(lines),
    policyReload: (result) => policyReloads.inc({ result }),
    keysReload: (result) => keysReloads.inc({ result }),
    clockJumped: (clock) => instruments.clockJumps.inc({ clock }),
    issuerFetched: (issuer, result) => instruments.issuerFetches.inc({ issuer, result }),
    unknownPlan: () => instruments.unknownPlans.inc(),
    tokenRejected: ({ issuer = OTHER_ISSUER, cause }) => instruments.tokenRefusals.inc({ issuer, cause }),
    forwardAuthAnswer: (form, status) => instruments.forwardAuth.inc({ form, status }),
    grpcShadowCompared: (result, calls) => instruments.grpcShadow.inc({ result }, calls),
    rateLimitDecided: (domain, result) => instruments.rateLimitDecisions.inc({ domain, result }),
    charged({ result, unit = "none", amount }) {
      instruments.charges.inc({ unit, result });
      if (result === "charged" || result === "fallback") instruments.chargedUnits.inc({ unit }, amount);
    },
    certificate: (listener, endsAtMs) => instruments.certificateEnd.set({ listener }, endsAtMs / 1000),
    signingKeys(ring) {
      kids = ring.kids;
      signingKeyInfo.reset();
      for (const [at, kid] of kids.entries()) signingKeyInfo.set({ kid, use: useOf(at) }, 1);
    },
    signingKeysAdded(known) {
      addedAtMs = known;
    },
    atTime(nowMs) {
      signingKeyAge.reset();
      for (const [at, kid] of kids.entries()) {
        const added = addedAtMs.get(kid);
        if (added === undefined) continue;
        signingKeyAge.set({ kid, use: useOf(at) }, Math.max(0, (nowMs - added) / 1000));
      }
    },
  };
}

function useOf(position: number): "signs" | "verifies" {
  return position === 0 ? "signs" : "verifies";
}
