import type { AuditEvent } from "../../src/core/audit/audit-event.ts";
import { createChangeMemory } from "../../src/core/keys/change-memory.ts";
import { listKeys } from "../../src/core/keys/key-listing.ts";
import type { Registration } from "../../src/core/keys/key-registration.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import type { LostWriteDeps } from "../../src/core/keys/lost-writes.ts";
import { enterLostWrites } from "../../src/core/keys/lost-writes.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import { createKeyStore } from "../../src/redis/key-store.ts";
import { createLostWriteStore } from "../../src/redis/lost-writes.ts";
import { createOneServer } from "../../src/redis/one-server.ts";
import { instanceOn } from "../contract/key-store-suite.ts";
import { NOTHING, nowSeconds, readUntilWell, startInstanceAt } from "./feed.ts";
import { urlBy } from "./redis.ts";

export const admin: CallOrigin = { caller: { kind: "admin", id: "t" } };

/**
 * An instance that remembers its changes. The test says when it enters what Redis has lost.
 * @param at a port of loopback, or a URL
 */
export async function startRemembering(at: number | string, maxRecords = 100) {
  const memory = createChangeMemory({
    monotonicMs: () => performance.now(),
    maxRecords,
    maxAgeMs: 3_600_000,
  });
  /** What the feed has reported. */
  const seen: string[] = [];
  let replicatedUntilMs = Number.NEGATIVE_INFINITY;
  const place = { url: typeof at === "number" ? urlBy(at) : at, server: createOneServer() };
  const instance = await startInstanceAt(place, {
    ...NOTHING,
    lostWrites: {
      onSuspicion: () => void seen.push("suspicion"),
      onWrittenBack: () => void seen.push("written back"),
      onReplicated(untilMs) {
        replicatedUntilMs = untilMs;
        memory.onReplicated(untilMs);
      },
    },
  });
  const options = {
    recordRetentionSeconds: 86_400,
    waitReplicas: 0,
    replicaTimeoutMs: 100,
    newRandom: () => `epoch ${performance.now()}`,
  };
  const store = createKeyStore(instance.client, { ...options, onAcknowledged: memory.add });
  const clock = {
    get nowSeconds() {
      return nowSeconds();
    },
  };
  const registry = { ...instanceOn(store, clock), view: instance.view };
  const entering: LostWriteDeps["store"] = {
    ...createKeyStore(instance.client, options),
    ...createLostWriteStore(instance.client, options),
  };
  return {
    ...instance,
    seen,
    replicatedUntilMs: () => replicatedUntilMs,
    memory,
    store,
    registry,
    /** Reads the feed until it is complete, and enters what is missing. Returns the outcome of each change that was lost. */
    async enter(adapt: (store: LostWriteDeps["store"]) => LostWriteDeps["store"] = (same) => same) {
      await readUntilWell(instance);
      await readUntilWell(instance);
      const outcomes: (string | number)[] = [];
      await enterLostWrites({
        ...registry,
        store: adapt(entering),
        memory,
        onEntered: (outcome) => void outcomes.push(outcome),
        onUnremembered: (changes) => void outcomes.push(changes),
      });
      return outcomes;
    },
    async register(more: Partial<Registration> = {}) {
      const made = await registerKey(registry, { role: "contributor", name: "n", ...more }, admin);
      if (made.kind !== "issued") throw new Error(made.reason);
      return made.record;
    },
    /** The status of every key, as operators see it. */
    async statuses(): Promise<Readonly<Record<string, string>>> {
      const page = await listKeys(registry, {}, { limit: 100 });
      if (page === "cursor_unknown") throw new Error(page);
      return Object.fromEntries(page.views.map(({ record, status }) => [record.keyId, status]));
    },
    async auditTrail(): Promise<readonly AuditEvent[]> {
      const entries = await instance.client.command("XRANGE", instance.client.keys.audit, "-", "+");
      return (Array.isArray(entries) ? entries : []).map(([, [, event]]) => JSON.parse(event));
    },
  };
}

export type RememberingInstance = Awaited<ReturnType<typeof startRemembering>>;
