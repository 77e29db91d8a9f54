import { readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { Registration } from "../../src/core/keys/key-registration.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { refreshByHolder, rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import { revokeOne } from "../../src/core/keys/key-revocation.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { KeyStore } from "../../src/core/keys/ports.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import { noUsage } from "../../src/core/usage/usage-amount.ts";
import { hourAt } from "../../src/core/usage/usage-time.ts";
import { randomText } from "../../src/server/random-id.ts";
import type { Database } from "../../src/sqlite/database.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import { createKeyStore } from "../../src/sqlite/key-store.ts";
import { createUsageStore } from "../../src/sqlite/usage-store.ts";
import { instanceOn } from "../contract/key-store-suite.ts";
import { removeAtEnd } from "./at-end.ts";
import { parsedPolicy } from "./parsed-policy.ts";

const DAY = 86_400;
const RETENTION_SECONDS = 30 * DAY;
const PORTION = 1000;

/** The built-in policy with plans and quotas. */
export const SAMPLE_POLICY = `${readFileSync(new URL("../../latchkey.yaml", import.meta.url), "utf8")}
plans:
  free:
    rate_limits: [{ name: per-key, per: key, capacity: 60, refill: 1/s }]
    quotas: [{ name: daily, per: key, limit: 1000, every: day }]
  team:
    rate_limits: [{ name: per-owner, per: owner, capacity: 6000, refill: 100/s }]
    quotas:
      - { name: monthly, per: owner, limit: 250000, every: month }
      - { name: daily, per: key, limit: 20000, every: day }
`;

/** Fills a new folder for the embedded store. The process that opens it must run after this. */
async function filledFolder(fill: (database: Database) => Promise<void>): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "latchkey-sample-"));
  removeAtEnd(dataDir);
  const database = openDatabase(dataDir);
  try {
    await fill(database);
  } finally {
    database.close();
  }
  return dataDir;
}

/** A registry with so many keys, each of its own family. Every 10,000th has the name `rare`. */
export function manyKeys(count: number): Promise<string> {
  return filledFolder(async (database) => {
    const store = createKeyStore(database, { recordRetentionSeconds: RETENTION_SECONDS, nowMs: Date.now });
    const now = Math.floor(Date.now() / 1000);
    for (let made = 0; made < count; made += PORTION) {
      const put = Array.from({ length: PORTION }, (_, at) => manyKey(made + at, now));
      await store.commit({ nowSeconds: Math.floor(Date.now() / 1000), put, audit: [] });
    }
  });
}

function manyKey(number: number, now: number): KeyRecord {
  const text = String(number).padStart(22, "0");
  return {
    keyId: `contributor_${now}_${text}`,
    family: `fam_${text}`,
    familyStartedAt: now,
    owner: `owner-${number % 100}`,
    role: "contributor",
    scopes: ["chat:read"],
    name: number % 10_000 === 9999 ? "rare" : "many",
    issuedAt: now,
    expiresAt: now + DAY,
    refreshAfter: now + DAY / 2,
    selfService: false,
    disabled: false,
    version: 1,
  };
}

export interface SampleRegistry {
  readonly dataDir: string;
  /** A key with a family of four, with limits, quotas and usage. */
  readonly keyId: string;
}

const operator = (id: string): CallOrigin => ({
  caller: { kind: "admin", id },
  address: "192.0.2.17",
  requestId: randomText(),
});

/** A small registry as an operator knows it: owners, plans, a family with a history, and usage. */
export async function sampleRegistry(): Promise<SampleRegistry> {
  const policy = parsedPolicy(SAMPLE_POLICY);
  const now = Math.floor(Date.now() / 1000);
  const clock = { nowSeconds: now };
  const nowMs = () => clock.nowSeconds * 1000;
  let keyId = "";
  const dataDir = await filledFolder(async (database) => {
    const store = createKeyStore(database, { recordRetentionSeconds: RETENTION_SECONDS, nowMs });
    const instance = instanceOn(store, clock);
    const registry: Registry = { ...instance, newRandom: randomText, policy: () => policy };
    const last = await writeFamily(registry, store, clock, now);
    keyId = last.keyId;
    await writeUsage(database, clock, last, now);
    await writeOthers(registry, store, clock, now);
  });
  return { dataDir, keyId };
}

interface Clock {
  nowSeconds: number;
}

async function register(registry: Registry, registration: Registration, by = operator("ops")) {
  const issued = await registerKey(registry, registration, by);
  if (issued.kind === "refused") throw new Error(issued.reason);
  return issued.record;
}

async function writeFamily(
  registry: Registry,
  store: KeyStore,
  clock: Clock,
  now: number,
): Promise<KeyRecord> {
  clock.nowSeconds = now - 80 * DAY;
  const first = await register(registry, {
    role: "contributor",
    name: "checkout-service",
    owner: "acme",
    plan: "team",
    metadata: '{"team":"payments","ticket":"OPS-2214"}',
  });
  const holder: CallOrigin = { caller: { kind: "holder", id: first.keyId }, address: "198.51.100.8" };
  const refresh = async (of: KeyRecord, daysAgo: number) => {
    clock.nowSeconds = now - daysAgo * DAY;
    const issued = await refreshByHolder(
      registry,
      { ...of, scopes: new Set(of.scopes) } as never,
      undefined,
      holder,
    );
    if (issued.kind === "refused") throw new Error(issued.reason);
    return issued.record;
  };
  const second = await refresh(first, 55);
  const third = await refresh(second, 30);
  clock.nowSeconds = now - 9 * DAY;
  await changeKey(registry, third.keyId, { disabled: true }, operator("maria"));
  clock.nowSeconds = now - 9 * DAY + 1500;
  await changeKey(registry, third.keyId, { disabled: false }, operator("maria"));
  clock.nowSeconds = now - 6 * DAY;
  const rotated = await rotateByOperator(registry, third.keyId, DAY, operator("maria"));
  if (rotated.kind === "refused") throw new Error(rotated.reason);
  await store.noteUse(new Map([[rotated.record.keyId, now - 170]]));
  return rotated.record;
}

async function writeUsage(database: Database, clock: Clock, of: KeyRecord, now: number): Promise<void> {
  const retention = { hoursSeconds: 40 * DAY, daysSeconds: 400 * DAY };
  const usage = createUsageStore(database, {
    instanceId: "sample",
    retention,
    nowMs: () => clock.nowSeconds * 1000,
  });
  for (let day = 29; day >= 0; day--) {
    clock.nowSeconds = now - day * DAY;
    const weekend = [0, 6].includes(new Date(clock.nowSeconds * 1000).getUTCDay());
    const allowed = Math.round((weekend ? 2100 : 7400) * (1 + 0.25 * Math.sin(day * 1.7)));
    const limited = day === 11 ? 2300 : day % 5 === 0 ? 160 : 20;
    const denied = day === 9 ? 1900 : 8;
    const requests = { allowed, limited, denied };
    const amount = { ...noUsage(), owner: of.owner ?? of.family, requests, cost: allowed };
    const window = hourAt(clock.nowSeconds * 1000);
    await usage.post([{ subject: of.family, number: 30 - day, window, amount, after: 0 }]);
  }
}

const OTHERS = [
  ["search-indexer", "contributor", "acme", "team", 21, 40],
  ["mobile-app", "basic", "acme", "free", 5, 320],
  ["nightly-export", "contributor", "globex", "", 12, 30_000],
  ["node-eu-1", "node_operator", "initech", "", 70, 5],
  ["node-eu-2", "node_operator", "initech", "", 70, 12],
  ["node-us-1", "node_operator", "initech", "", 64, 260_000],
  ["ci runner", "basic", "globex", "", 3, 0],
  ["partner-feed", "contributor", "umbrella", "team", 25, 900],
  ["dashboard", "basic", "umbrella", "free", 6, 3600],
  ["מפתח לבדיקה", "basic", "umbrella", "", 2, 7200],
  ["<b>not markup</b>", "basic", "globex", "", 1, 0],
  ["billing-sync", "contributor", "acme", "team", 27, 65],
] as const;

async function writeOthers(registry: Registry, store: KeyStore, clock: Clock, now: number): Promise<void> {
  const keys: KeyRecord[] = [];
  for (const [name, role, owner, plan, daysAgo, usedAgo] of OTHERS) {
    clock.nowSeconds = now - daysAgo * DAY;
    const key = await register(registry, { name, role, owner, ...(plan !== "" && { plan }) });
    keys.push(key);
    if (usedAgo > 0) await store.noteUse(new Map([[key.keyId, now - usedAgo]]));
  }
  clock.nowSeconds = now - 3600;
  await changeKey(registry, keys[2]?.keyId ?? "", { disabled: true }, operator("maria"));
  await revokeOne(registry, keys[5]?.keyId ?? "", operator("maria"));
  clock.nowSeconds = now;
}
