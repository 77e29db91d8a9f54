import type { Instruments } from "./instruments.ts";

/** What an instance tells of its audit log and of what it was given: policy and keys. */
export interface InstanceMeter {
  auditLines(kind: "lifecycle" | "request" | "access" | "gap" | "dropped", lines: number): void;
  auditDropped(lines: number): void;
  auditThrottled(lines: number): void;
  policyReload(result: "taken" | "refused"): void;
  keysReload(result: "taken" | "refused"): void;
  issuerFetched(issuer: string, result: "taken" | "failed"): void;
  /** The certificate that a door shows. */
  certificate(door: "GRPC" | "HTTP", endsAtMs: number): void;
  /** The keys in force; the first kid signs. */
  signingKeys(ring: { readonly kids: readonly string[] }): void;
}

export function createInstanceMeter(instruments: Instruments): InstanceMeter {
  const { auditLines, auditDropped, policyReloads, keysReloads, signingKeyInfo } = instruments;
  for (const reloads of [policyReloads, keysReloads])
    for (const result of ["taken", "refused"]) reloads.inc({ result }, 0);
  for (const kind of ["lifecycle", "request", "access", "gap", "dropped"]) auditLines.inc({ kind }, 0);
  return {
    auditLines: (kind, lines) => auditLines.inc({ kind }, lines),
    auditDropped: (lines) => auditDropped.inc(lines),
    auditThrottled: (lines) => instruments.auditThrottled.inc(lines),
    policyReload: (result) => policyReloads.inc({ result }),
    keysReload: (result) => keysReloads.inc({ result }),
    issuerFetched: (issuer, result) => instruments.issuerFetches.inc({ issuer, result }),
    certificate: (door, endsAtMs) => instruments.certificateEnd.set({ door }, endsAtMs / 1000),
    signingKeys({ kids }) {
      signingKeyInfo.reset();
      for (const [at, kid] of kids.entries())
        signingKeyInfo.set({ kid, use: at === 0 ? "signs" : "verifies" }, 1);
    },
  };
}
