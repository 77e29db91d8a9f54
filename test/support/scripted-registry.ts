import type { CommitOutcome, KeyChange, RememberedCall } from "../../src/core/keys/key-change.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { rememberReuse } from "../../src/core/keys/key-renewal.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { KeyStore, WrittenEnd } from "../../src/core/keys/ports.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import { createMigration } from "../../src/core/legacy/migration.ts";
import type { StoredOverride } from "../../src/core/overrides/override.ts";
import type { Policy, Role } from "../../src/core/policy/policy.ts";
import type { FeedEntry } from "../../src/core/revocation/feed-entry.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";

export const NOW = 1_800_000_000;
export const admin: CallOrigin = { caller: { kind: "admin", id: "ops" } };
const COMMITTED: CommitOutcome = { kind: "committed" };

const ROLE: Role = {
  name: "contributor",
  scopes: new Set(["chat:read", "chat:write"]),
  ttlSeconds: 7 * 86_400,
  refreshWindowSeconds: 86_400,
  selfService: false,
  mayGrant: [],
  mayAssignPlans: [],
  bucketPrefix: "contributor",
  rateLimits: [],
  quotas: [],
};
export const BASIC: Role = { ...ROLE, name: "basic", selfService: true };
/** What the operations on keys and overrides read of a policy. */
const POLICY: Pick<Policy, "roles" | "plans" | "quotaCounts" | "guards" | "signIn"> = {
  roles: new Map([ROLE, BASIC, { ...ROLE, name: "node_operator" }].map((role) => [role.name, role])),
  plans: new Map([["team", { name: "team", over: (fallback) => fallback }]]),
  quotaCounts: new Map([["monthly", { per: "owner", every: "month", timeZone: "UTC", unit: "requests" }]]),
  guards: { selfServiceKeysMax: 3 } as Policy["guards"],
  signIn: { operators: [], holders: { owner: [["sub"]], roles: ["contributor"], maxKeys: 2 } },
};

export const KEY: KeyRecord = {
  keyId: "contributor_1800000000_aaaaaaaaaaaaaaaaaaaaaa",
  family: "fam_aaaaaaaaaaaaaaaaaaaaaa",
  familyStartedAt: NOW,
  owner: "acme",
  role: "contributor",
  scopes: ["chat:read"],
  name: "n",
  issuedAt: NOW,
  expiresAt: NOW + 1000,
  refreshAfter: NOW + 500,
  selfService: false,
  disabled: false,
  version: 1,
};

/** What the store holds. */
export interface Held {
  readonly records?: readonly KeyRecord[];
  readonly end?: WrittenEnd;
  readonly call?: RememberedCall;
  readonly override?: StoredOverride;
  readonly frozenUntil?: number;
  /** Answers of `confirm`; absent: every change is durable. */
  readonly durable?: boolean;
}

/**
 * An instance on a store that holds what the test says, returns `outcomes` one after the other (then `committed`), and lists what
 * it was to write.
 */
export function scriptedRegistry(held: Held = {}, outcomes: readonly CommitOutcome[] = [COMMITTED]) {
  const asked: KeyChange[] = [];
  const confirmed: (readonly KeyRecord[])[] = [];
  const recalled: (readonly [id: string, nowSeconds: number])[] = [];
  const published: FeedEntry[] = [];
  const store: Partial<KeyStore> = {
    load: async (keyId) => held.records?.find((record) => record.keyId === keyId),
    commit: async (change) => {
      asked.push(change);
      return outcomes[asked.length - 1] ?? COMMITTED;
    },
    confirm: async (records = []) => {
      confirmed.push(records);
      return held.durable ?? true;
    },
    findEnd: async () => held.end,
    recall: async (id, nowSeconds) => {
      recalled.push([id, nowSeconds]);
      return held.call;
    },
    findOverride: async () => held.override,
    frozenUntil: async () => held.frozenUntil,
  };
  let storeMs = NOW * 1000;
  let monotonicMs = 0;
  let made = 0;
  const registry: Registry = {
    store: store as KeyStore,
    view: createInstanceView(),
    migration: createMigration(),
    legacy: {
      newKey: () => "v1",
      isPlausible: () => true,
      storedForm: (key) => ({ hash: key, alias: key }),
      hashes: (key) => [key],
      hashOfDigest: (hex) => hex,
    },
    signer: { sign: async ({ keyId }) => `token of ${keyId}` },
    policy: () => POLICY as Policy,
    nowMs: () => storeMs,
    digest: (text) => `digest of ${text}`,
    newRandom: () => `random${++made}`,
    auditedReuse: rememberReuse(() => monotonicMs),
    storeClock: {
      storeNowMs: () => storeMs,
      applyStoreTime: (nowMs) => {
        storeMs = nowMs;
      },
    },
    onFeedEntry: (entry) => void published.push(entry),
  };
  return {
    registry,
    /** Every change that the store was to write. */
    asked,
    /** The records of every call of `confirm`. */
    confirmed,
    recalled,
    published,
    /** What this instance's Checks know. */
    known: () => [...registry.view.entries()],
    setTime: (nowMs: number) => {
      storeMs = nowMs;
    },
    passMs: (ms: number) => {
      monotonicMs += ms;
    },
  };
}
