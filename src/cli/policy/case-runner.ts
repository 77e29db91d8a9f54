import { randomBytes } from "node:crypto";
import type { AuthorizePorts } from "../../core/decision/authorize.ts";
import { createAuthorize } from "../../core/decision/authorize.ts";
import type { CredentialSource } from "../../core/decision/credential.ts";
import type { DescribedRequest } from "../../core/decision/described-request.ts";
import type { Explanation } from "../../core/decision/explain.ts";
import { createExplain } from "../../core/decision/explain.ts";
import type { KeyRecord } from "../../core/keys/key-record.ts";
import { createMigration, initialState } from "../../core/legacy/migration.ts";
import { createFaultPolicy } from "../../core/limits/local-share.ts";
import type { BucketStore } from "../../core/limits/ports.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { createInstanceView } from "../../core/revocation/instance-view.ts";
import { restrictionOf } from "../../core/revocation/revocation.ts";
import { createKeyRing } from "../../jwt/key-ring.ts";
import { createSigner } from "../../jwt/signer.ts";
import { createVerifier } from "../../jwt/verifier.ts";
import { createBucketStore } from "../../memory/bucket-store.ts";
import type { CaseFile, CaseKey, DecisionCase } from "../../policy/cases.ts";

/** The fixed time of all cases (NumericDate). */
const NOW_SECONDS = 1_800_000_000;
const NAMES = { issuer: "latchkey-cases", audience: "latchkey-cases" };

/** The result of one case. `problems` is empty if it is as expected. */
export interface CaseResult {
  readonly decisionCase: DecisionCase;
  readonly explanation: Explanation;
  readonly problems: readonly string[];
}

/** Runs cases against a policy with the same code that decides Checks, real tokens, and buckets that are full for each case. */
export async function runCases(file: CaseFile, policy: Policy): Promise<readonly CaseResult[]> {
  const [ring, otherRing] = await Promise.all([newRing(), newRing()]);
  const view = createInstanceView();
  const tokens = new Map<string, string>();
  for (const [name, key] of Object.entries(file.keys)) {
    const record = recordOf(name, key, policy);
    view.apply([restrictionOf(record)]);
    const signer = createSigner(() => (key.state === "forged" ? otherRing : ring), NAMES);
    tokens.set(name, await signer.sign(record));
  }
  const verifier = createVerifier({ ...NAMES, ring: () => ring, cacheSize: 1000 });
  const results: CaseResult[] = [];
  for (const decisionCase of file.cases) {
    const ports: AuthorizePorts = {
      policy: () => policy,
      verifier,
      view,
      overrides: view.overrides,
      migration: createMigration(initialState(policy, NOW_SECONDS)),
      stalenessMs: () => (decisionCase.down === "revocations" ? Number.POSITIVE_INFINITY : 0),
      ...freshBuckets(decisionCase),
      clientAddress: ({ peerAddress }) => peerAddress,
    };
    results.push(await runCase(decisionCase, tokens, ports));
  }
  return results;
}

function newRing() {
  return createKeyRing([randomBytes(32).toString("base64url")]);
}

function freshBuckets({ down }: DecisionCase): Pick<AuthorizePorts, "buckets" | "failures"> {
  const buckets = createBucketStore({ maxBuckets: 1000 });
  const unavailable: BucketStore = createFaultPolicy(() => "deny", buckets);
  return {
    buckets: down === "limits" ? unavailable : buckets,
    failures: createBucketStore({ maxBuckets: 1000 }),
  };
}

async function runCase(
  decisionCase: DecisionCase,
  tokens: ReadonlyMap<string, string>,
  ports: AuthorizePorts,
): Promise<CaseResult> {
  const explain = createExplain({
    authorize: createAuthorize(ports),
    policy: ports.policy,
    nowMs: () => NOW_SECONDS * 1000,
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
  const id = Buffer.from(name).toString("hex").padEnd(22, "0").slice(0, 22);
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
