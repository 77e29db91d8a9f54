import { readFileSync } from "node:fs";
import { createAuthorize } from "../../src/core/decision/authorize.ts";
import type { AuthorizePorts } from "../../src/core/decision/request-context.ts";
import type { KeySigner } from "../../src/core/keys/ports.ts";
import { createMigration } from "../../src/core/legacy/migration.ts";
import { NO_OVERRIDES } from "../../src/core/overrides/override-view.ts";
import type { Policy } from "../../src/core/policy/policy.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import type { Check } from "../../src/ext-authz/check.ts";
import { createCheck } from "../../src/ext-authz/check.ts";
import type { CheckPorts } from "../../src/ext-authz/decide.ts";
import type { ResponseObserver } from "../../src/ext-authz/observed-encoder.ts";
import { createKeyRing } from "../../src/jwt/key-ring.ts";
import { createSigner } from "../../src/jwt/signer.ts";
import { createVerifier } from "../../src/jwt/verifier.ts";
import { createBucketStore } from "../../src/memory/bucket-store.ts";
import { parsedPolicy } from "./parsed-policy.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const NAMES = { issuer: "i", audience: "a" };

/** The time of {@link realCheck}. */
export const CHECKED_AT_SECONDS = 1_800_000_000;

export interface RealCheck {
  readonly check: Check;
  readonly faults: readonly unknown[];
  readonly undecodable: readonly RangeError[];
  readonly policy: Policy;
  readonly signer: KeySigner;
}

/** test/cases/policy.yaml, in which only the public route lets a request without a key through. */
const CASES_POLICY = readFileSync(new URL("../cases/policy.yaml", import.meta.url), "utf8")
  .replace("mode: shadow", "mode: enforce")
  .replace("preflights: allow", "preflights: check");

export interface RealCheckOptions {
  readonly decided?: CheckPorts["onDecision"];
  readonly policy?: string;
  /** Replacements for the ports of a healthy instance. */
  readonly ports?: Partial<AuthorizePorts>;
  readonly observer?: ResponseObserver;
}

/** A Check handler as an instance assembles it. */
export async function realCheck(options: RealCheckOptions = {}): Promise<RealCheck> {
  const { decided = () => undefined, ports, observer } = options;
  const policy = parsedPolicy(options.policy ?? CASES_POLICY);
  const ring = await createKeyRing([SECRET]);
  const authorize = createAuthorize({
    policy: () => policy,
    verifier: createVerifier({ ...NAMES, ring: () => ring, cacheSize: 10 }),
    view: createInstanceView(),
    migration: createMigration(),
    stalenessMs: () => 0,
    overrides: NO_OVERRIDES,
    buckets: createBucketStore({ maxBuckets: 10 }),
    failures: createBucketStore({ maxBuckets: 10 }),
    clientAddress: ({ peerAddress }) => peerAddress,
    ...ports,
  });
  const faults: unknown[] = [];
  const undecodable: RangeError[] = [];
  const check = createCheck(
    {
      policy: () => policy,
      authorize,
      nowMs: () => CHECKED_AT_SECONDS * 1000,
      monotonicNs: () => 0n,
      newDecisionId: () => "d",
      onDecision: decided,
      onFault: (error) => faults.push(error),
      onUndecodable: (error) => undecodable.push(error),
    },
    { observer },
  );
  return { check, faults, undecodable, policy, signer: createSigner(() => ring, NAMES) };
}
