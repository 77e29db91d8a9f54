import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditStore } from "../../src/core/audit/ports.ts";
import type { ComparedKind, CopyDeps } from "../../src/core/copy/copy.ts";
import { compareAll, copyAll } from "../../src/core/copy/copy.ts";
import { findEscapedKeys } from "../../src/core/copy/escaped-keys.ts";
import type { CopiedStore } from "../../src/core/copy/ports.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { KeyStore } from "../../src/core/keys/ports.ts";
import { createBreaker } from "../../src/core/limits/breaker.ts";
import type { QuotaStore } from "../../src/core/quotas/quota-store.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import type { UsageStore } from "../../src/core/usage/ports.ts";
import { createAuditStore as createRedisAudit } from "../../src/redis/audit-store.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { createCopiedStore } from "../../src/redis/copied-store.ts";
import { createKeyStore as createRedisKeys } from "../../src/redis/key-store.ts";
import { createQuotaStore as createRedisQuotas } from "../../src/redis/quota-store.ts";
import { createServerBreakers } from "../../src/redis/server-breakers.ts";
import { spreadOnOneServer } from "../../src/redis/spread-client.ts";
import { createUsageStore as createRedisUsage } from "../../src/redis/usage-store.ts";
import { createAuditStore as createSqliteAudit } from "../../src/sqlite/audit-store.ts";
import { openCopiedStore } from "../../src/sqlite/copied-store.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import { createKeyStore as createSqliteKeys } from "../../src/sqlite/key-store.ts";
import { createQuotaStore as createSqliteQuotas } from "../../src/sqlite/quota-batch.ts";
import { createCounterTable } from "../../src/sqlite/quota-store.ts";
import { createUsageStore as createSqliteUsage } from "../../src/sqlite/usage-store.ts";
import { removeAtEnd } from "./at-end.ts";

export const RETENTION_SECONDS = 7 * 86_400;
export const AUDIT_RETENTION_SECONDS = 90 * 86_400;
const USAGE_RETENTION = { hoursSeconds: 40 * 86_400, daysSeconds: 400 * 86_400 };
const BREAKERS = {
  newBreaker: () => createBreaker({ threshold: 3, probeEveryMs: 50 }),
  monotonicMs: () => performance.now(),
};
const USAGE_OPTIONS = { instanceId: "instance", retention: USAGE_RETENTION, nowMs: Date.now };

/** The stores of an instance. */
export interface UsedStore {
  readonly keys: KeyStore;
  readonly audit: AuditStore;
  readonly usage: UsageStore;
  readonly quotas: QuotaStore;
}

/** A store that is used by an instance, or by a copy. An embedded store is used by one of them at a time. */
export interface CopySide {
  use<Result>(work: (store: UsedStore) => Promise<Result>): Promise<Result>;
  copy<Result>(work: (store: CopiedStore) => Promise<Result>): Promise<Result>;
}

let epochs = 0;

/** A store in a Redis that both uses share. */
export function redisSide(client: RedisClient, spread = spreadOnOneServer(client)): CopySide {
  const options = {
    recordRetentionSeconds: RETENTION_SECONDS,
    waitReplicas: 0,
    replicaTimeoutMs: 100,
    newRandom: () => `epoch${++epochs}`,
    usageRetention: USAGE_RETENTION,
    auditRetentionSeconds: AUDIT_RETENTION_SECONDS,
  };
  const used: UsedStore = {
    keys: createRedisKeys(client, options),
    audit: createRedisAudit(client, "instance"),
    usage: createRedisUsage({ registry: client, spread, ...USAGE_OPTIONS }),
    quotas: createRedisQuotas(spread, createServerBreakers(spread, BREAKERS)),
  };
  // The client stays open.
  const copied = { ...createCopiedStore(client, spread, options), close: async () => undefined };
  return { use: (work) => work(used), copy: (work) => work(copied) };
}

/** A store in a new folder. */
export function sqliteSide(folder = newFolder()): CopySide {
  return {
    async use(work) {
      const database = openDatabase(folder);
      const options = { recordRetentionSeconds: RETENTION_SECONDS, nowMs: Date.now };
      try {
        return await work({
          keys: createSqliteKeys(database, options),
          audit: createSqliteAudit(database),
          usage: createSqliteUsage(database, USAGE_OPTIONS),
          quotas: createSqliteQuotas(async (steps) =>
            createCounterTable(database.sqlite, Date.now).steps(steps),
          ),
        });
      } finally {
        database.close();
      }
    },
    async copy(work) {
      const store = openCopiedStore(folder, {
        recordRetentionSeconds: RETENTION_SECONDS,
        auditRetentionSeconds: AUDIT_RETENTION_SECONDS,
      });
      try {
        return await work(store);
      } finally {
        await store.close();
      }
    },
  };
}

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-copy-"));
  removeAtEnd(folder);
  return folder;
}

/** What the command does, without the checks before it. */
export function copyBetween(from: CopySide, to: CopySide, more: Partial<CopyDeps> = {}) {
  return withBoth(from, to, more, copyAll);
}

export function compareBetween(from: CopySide, to: CopySide, more: Partial<CopyDeps> = {}) {
  return withBoth(from, to, more, compareAll);
}

export function escapedBetween(from: CopySide, to: CopySide) {
  return withBoth(from, to, {}, findEscapedKeys);
}

function withBoth<Result>(
  from: CopySide,
  to: CopySide,
  more: Partial<CopyDeps>,
  work: (deps: CopyDeps) => Promise<Result>,
): Promise<Result> {
  return from.copy((source) =>
    to.copy((target) =>
      work({
        source,
        target,
        recordRetentionSeconds: RETENTION_SECONDS,
        nowSeconds: Math.floor(Date.now() / 1000),
        sha256Hex: (text) => createHash("sha256").update(text).digest("hex"),
        onProgress: () => undefined,
        isInterrupted: () => false,
        ...more,
      }),
    ),
  );
}

/** The kinds whose digests differ, or of which the target lacks rows. */
export function differences(compared: readonly ComparedKind[]): readonly unknown[] {
  return compared.filter(({ source, target, missing }) => missing > 0 || source.digest !== target.digest);
}

/** Everything that instances read of a store, so that two stores can be compared. */
export async function observeStore({ keys, audit }: UsedStore) {
  const view = createInstanceView();
  for await (const portion of keys.viewEntries()) view.apply(portion);
  const records: KeyRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await keys.page({ limit: 500, ...(cursor !== undefined && { cursor }) });
    if (page === "cursor_unknown") throw new Error(page);
    records.push(...page.entries.map(({ record }) => record));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  const nowMs = Date.now();
  const used = await keys.lastUsed(records.map(({ keyId }) => keyId));
  const ofOwner = async (owner: string) => {
    const page = await keys.page({ of: { owner }, limit: 500 });
    return page === "cursor_unknown" ? [] : page.entries.map(({ record }) => record.keyId);
  };
  const found = async ({ legacy }: KeyRecord) =>
    legacy && [
      (await keys.findLegacy([legacy.hash]))?.keyId,
      (await keys.findLegacy([legacy.alias ?? legacy.hash]))?.keyId,
    ];
  return {
    keys: await Promise.all(
      records.map(async (record) => ({
        record,
        ended: view.endReason({ ...record, scopes: [] } as never, nowMs),
        usedAt: used.get(record.keyId),
        foundAs: await found(record),
      })),
    ),
    owners: await Promise.all(["acme", "umbrella"].map(ofOwner)),
    counted: await Promise.all(
      ["acme", "umbrella"].map((owner) => keys.countOwned(owner, Math.floor(nowMs / 1000), false)),
    ),
    overrides: [...view.overrides.entries()],
    phase: (await keys.migration())?.phase,
    legacyUse: await keys.legacyUse("basic", [1, Math.floor(nowMs / 1000) - 60]),
    unexpired: (await keys.count(Math.floor(nowMs / 1000))).unexpired,
    events: (await audit.read({ limit: 500 })).map(({ event }) => event),
  };
}
