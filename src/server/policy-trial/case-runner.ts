import { hash, randomBytes } from "node:crypto";
import { createAuthorize } from "../../core/decision/authorize.ts";
import type { CredentialSource } from "../../core/decision/credential.ts";
import type { DescribedRequest } from "../../core/decision/described-request.ts";
import type { Explanation } from "../../core/decision/explain.ts";
import { createExplain } from "../../core/decision/explain.ts";
import { ownerOf } from "../../core/decision/principal.ts";
import type { AuthorizePorts } from "../../core/decision/request-context.ts";
import type { KeyRecord } from "../../core/keys/key-record.ts";
import { createMigration, initialState } from "../../core/legacy/migration.ts";
import { createFaultPolicy } from "../../core/limits/local-share.ts";
import type { StoredOverride } from "../../core/overrides/override.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { createInstanceView } from "../../core/revocation/instance-view.ts";
import { restrictionOf } from "../../core/revocation/revocation.ts";
import { createKeyRing } from "../../jwt/key-ring.ts";
import { createSigner } from "../../jwt/signer.ts";
import { createVerifier } from "../../jwt/verifier.ts";
import { createBucketStore } from "../../memory/bucket-store.ts";
import { createQuotaStore } from "../../memory/quota-store.ts";
import type { CaseFile, CaseKey, DecisionCase } from "../../policy/cases.ts";
import { createEmbeddedLimits } from "../embedded-limits.ts";

/** The fixed time of all cases (NumericDate). */
const NOW_SECONDS = 1_800_000_000;
const NAMES = { issuer: "latchkey-cases", audience: "latchkey-cases" };

/** The result of one case. `problems` is empty if it is as expected. */
export interface CaseResult {
  readonly decisionCase: DecisionCase;
  readonly explanation: Explanation;
  readonly problems: readonly string[];
}

/** What decides the cases of one file. */
export interface PreparedCases {
  readonly nowMs: number;
  /** By the names of `keys`. */
  readonly tokens: ReadonlyMap<string, string>;
  /** The ports for one case, with full buckets and unused quotas. */
  portsOf(decisionCase: DecisionCase): AuthorizePorts;
}

/** Runs cases against a policy with the same code that decides Checks, real tokens, and full buckets and unused quotas for each case. */
export async function runCases(file: CaseFile, policy: Policy): Promise<readonly CaseResult[]> {
  const prepared = await prepareCases(file, policy);
  const results: CaseResult[] = [];
  for (const decisionCase of file.cases) results.push(await runCase(decisionCase, prepared));
  return results;
}

export async function prepareCases(file: CaseFile, policy: Policy): Promise<PreparedCases> {
  const [ring, otherRing] = await Promise.all([newRing(), newRing()]);
  const view = createInstanceView();
  const tokens = new Map<string, string>();
  for (const [name, key] of Object.entries(file.keys)) {
    const record = recordOf(name, key, policy);
    view.apply([restrictionOf(record), ...overridesOf(key, record)]);
    const signer = createSigner(() => (key.state === "forged" ? otherRing : ring), NAMES);
    tokens.set(name, await signer.sign(record));
  }
  const verifier = createVerifier({ ...NAMES, ring: () => ring, cacheSize: 1000 });
  return {
    nowMs: NOW_SECONDS * 1000,
    tokens,
    portsOf: (decisionCase) => ({
      policy: () => policy,
      verifier,
      view,
      overrides: view.overrides,
      migration: createMigration(initialState(policy, NOW_SECONDS)),
      stalenessMs: () => (decisionCase.down === "revocations" ? Number.POSITIVE_INFINITY : 0),
      ...freshLimits(decisionCase, policy),
      clientAddress: ({ peerAddress }) => peerAddress,
    }),
  };
}

function overridesOf({ overrides = {} }: CaseKey, record: KeyRecord): readonly StoredOverride[] {
  return (["family", "owner"] as const).flatMap((scope) => {
    const given = overrides[scope];
    if (given === undefined) return [];
    const { plan, quotas } = given;
    const content = {
      ...(plan !== undefined && { plan }),
      ...(quotas && { quotas: quotas.map((quota) => ({ ...quota, extra: 0 })) }),
    };
    const subject = scope === "family" ? record.family : ownerOf(record);
    return [{ kind: "override", scope, subject, version: 1, content }];
  });
}

function newRing() {
  return createKeyRing([randomBytes(32).toString("base64url")]);
}

function freshLimits(
  { down }: DecisionCase,
  policy: Policy,
): Pick<AuthorizePorts, "buckets" | "charged" | "failures"> {
  const buckets = createBucketStore({ maxBuckets: 1000 });
  const nowMs = () => NOW_SECONDS * 1000;
  const { limits, counters } = createEmbeddedLimits({
    buckets,
    store: createQuotaStore(nowMs),
    storeNowMs: nowMs,
    faults: () => policy.faults,
    instanceId: "case",
    maxBuckets: 1000,
    maxDescriptorBuckets: 1,
  });
  return {
    buckets: down === "limits" ? createFaultPolicy(() => "deny", buckets) : limits,
    ...(down !== "limits" && { charged: counters[0] }),
    failures: createBucketStore({ maxBuckets: 1000 }),
  };
}

async function runCase(
  decisionCase: DecisionCase,
  { nowMs, tokens, portsOf }: PreparedCases,
): Promise<CaseResult> {
  const ports = portsOf(decisionCase);
  const explain = createExplain({
    authorize: createAuthorize(ports),
    policy: ports.policy,
    nowMs: () => nowMs,
  });
  const described = describedCase(decisionCase, tokens);
  for (let sent = 0; sent < (decisionCase.after ?? 0); sent++) await explain(described);
  const explanation = await explain(described);
  const { expect, route, mode } = decisionCase;
  return {
    decisionCase,
    explanation,
    problems: [
      ...differs("decided", explanation.reason, expect),
      ...differs("route", explanation.route, route),
      ...differs("mode", explanation.mode, mode),
    ],
  };
}

function differs(what: string, found: string | undefined, wanted: string | undefined): string[] {
  return wanted === undefined || found === wanted ? [] : [`${what}: ${found ?? "none"}, not ${wanted}`];
}

/** The request of a case, with its key. */
export function describedCase(
  { request, key, in: source }: DecisionCase,
  tokens: ReadonlyMap<string, string>,
): DescribedRequest {
  const [method = "", path = ""] = typeof request === "string" ? request.split(/ (.*)/s) : [];
  const token = key === undefined ? undefined : tokens.get(key);
  return {
    ...(typeof request === "string" ? { method, path } : request),
    ...(token !== undefined && { key: token }),
    // The schema of the file admits only valid sources.
    ...(source !== undefined && { in: source as CredentialSource }),
  };
}

function recordOf(name: string, key: CaseKey, policy: Policy): KeyRecord {
  const { role, scopes, owner, plan, addresses, certificate, state } = key;
  const expired = state === "expired";
  const issuedAt = NOW_SECONDS - 3600;
  // Of the whole name: keys whose names begin alike are different keys, of different families.
  const id = hash("sha256", name, "hex").slice(0, 22);
  return {
    keyId: `${role}_${issuedAt}_${id}`,
    family: `fam_${id}`,
    familyStartedAt: issuedAt,
    ...(owner !== undefined && { owner }),
    role,
    ...(plan !== undefined && { plan }),
    scopes: scopes ?? [...(policy.roles.get(role)?.scopes ?? [])],
    name,
    issuedAt,
    expiresAt: expired ? NOW_SECONDS - 1 : NOW_SECONDS + 3600,
    refreshAfter: state === "refreshable" || expired ? NOW_SECONDS - 60 : NOW_SECONDS + 60,
    selfService: false,
    ...(addresses !== undefined && { nets: addresses }),
    ...(certificate !== undefined && { certificate }),
    disabled: state === "disabled",
    ...(state === "revoked" && { revokedAt: NOW_SECONDS - 60 }),
    ...(state === "superseded" && {
      successor: {
        keyId: `${role}_${NOW_SECONDS}_${id}`,
        at: NOW_SECONDS - 60,
        notAfter: NOW_SECONDS - 60,
      },
    }),
    version: 1,
  };
}
