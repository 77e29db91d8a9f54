import { copyFile, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { commit } from "../../src/core/keys/commit.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { KeyWriter } from "../../src/core/keys/ports.ts";
import { removeAtEnd } from "./at-end.ts";
import { startFaultRelay } from "./fault-relay.ts";
import type { Instance, LeaveOut } from "./feed.ts";
import {
  endedIn,
  endings,
  NOTHING,
  newRecord,
  nowSeconds,
  put,
  readUntilWell,
  startInstance,
} from "./feed.ts";
import type { TestedRedis } from "./redis.ts";
import { startRedis } from "./redis.ts";

/** The state of the key on an instance: `key_revoked`, `key_disabled`, or undefined for a valid key. */
type State = ReturnType<typeof endedIn>;

export interface FeedReplay {
  /** What each instance, and an instance that starts afterwards, says of the key. */
  readonly states: readonly State[];
  /** What the newest change made of the key. */
  readonly expected: State;
}

/** How one rule is removed from the code. */
export interface Removal extends Partial<LeaveOut> {
  /** Versions count changes instead of following Redis's clock. */
  readonly versionsWithoutClock?: boolean;
}

/** An instance of the model that is running: it can be stopped between the head of the feed and the snapshot. */
interface Running {
  readonly instance: Instance;
  /** Starts a read that stops before its snapshot. Resolves when it has stopped or ended. */
  readonly begin: () => Promise<void>;
  /** Lets the read continue to its end. */
  readonly finish: () => Promise<void>;
}

/** Replays the events of an execution of `revocation.pml` on real instances of the feed and a real Redis. */
export async function replayFeed(events: readonly string[], removal: Removal = {}): Promise<FeedReplay> {
  const servers = [await startRedis({ args: ["--dbfilename", "dump.rdb"] })];
  const current = () => servers.at(-1) as TestedRedis;
  const relay = await startFaultRelay(current().port);
  endings.push(
    () => Promise.all(servers.map((server) => server.stop())),
    () => relay.close(),
  );
  const setUp = await startInstance(relay.port);
  const record = newRecord();
  await put(setUp, record);
  let replicaFile = await savedFile(current());

  const running: (Running | undefined)[] = [undefined, undefined];
  const startOrGet = async (i: number) => (running[i] ??= await startRunning(relay.port, removal));
  let clockMs = Date.now();
  let [revoked, disabled] = [false, false];
  const change = async (i: number, changes: Partial<KeyRecord>) => {
    const { instance } = await startOrGet(i);
    clockMs += 10;
    const { store, view } = instance;
    const storeClock = { storeNowMs: () => clockMs, applyStoreTime: () => undefined };
    const written = removal.versionsWithoutClock ? withoutClockVersions(store, view) : store;
    const deps = { store: written, view, storeClock };
    const stored = await store.load(record.keyId);
    const end = {
      ...({ kind: "key", keyId: record.keyId, version: clockMs, expiresAt: record.expiresAt } as const),
      ...{ revoked: true, disabled: false },
    };
    const { kind } = await commit(
      deps,
      stored === undefined
        ? { put: [], end, audit: [] }
        : { put: [{ ...stored, ...changes, version: stored.version + 1 }], audit: [] },
    );
    if (kind !== "committed") throw new Error(`the change ended with ${kind}`);
  };
  const perform: Record<string, (i: number) => Promise<void>> = {
    head: async (i) => (await startOrGet(i)).begin(),
    load: async (i) => (await startOrGet(i)).finish(),
    read: async (i) => (await startOrGet(i)).begin(),
    notice: async (i) => (await startOrGet(i)).begin(),
    gap: async (i) => (await startOrGet(i)).begin(),
    write: async (i) => (await startOrGet(i)).finish(),
    async revoke(i) {
      revoked = true;
      await change(i, { revokedAt: nowSeconds() });
    },
    async disable(i) {
      disabled = true;
      await change(i, { disabled: true });
    },
    async enable(i) {
      disabled = false;
      await change(i, { disabled: false });
    },
    async trim() {
      await current().cli("XTRIM", "latchkey:feed", "MAXLEN", "0");
    },
    async flush() {
      await current().cli("FLUSHALL");
    },
    async replicate() {
      replicaFile = await savedFile(current());
    },
    async failover() {
      const dir = await mkdtemp(join(tmpdir(), "latchkey-model-"));
      removeAtEnd(dir);
      await copyFile(replicaFile, join(dir, "dump.rdb"));
      servers.push(await startRedis({ dir, args: ["--dbfilename", "dump.rdb"] }));
      relay.leadTo(current().port);
      for (const one of running) if (one !== undefined) await untilConnected(one.instance);
    },
    calm: async () => undefined,
  };
  for (const event of events) {
    const [name = "", ...words] = event.split(" ");
    const run = perform[name];
    if (run === undefined) throw new Error(`the event ${event} cannot be replayed`);
    await run(Number(words.at(-1) ?? 0));
  }
  const living = await Promise.all([startOrGet(0), startOrGet(1)]);
  // Each read may find what the other instance has written back.
  for (let round = 0; round < 3; round++) for (const one of living) await one.finish();
  const later = await startInstance(relay.port);
  return {
    states: [...living.map(({ instance }) => instance), later].map(({ view }) => endedIn(view, record)),
    expected: revoked ? "key_revoked" : disabled ? "key_disabled" : undefined,
  };
}

/** The time of a change is one more than the last known one. */
function withoutClockVersions(
  store: Instance["store"],
  view: Instance["view"],
): Pick<KeyWriter, "commit" | "confirm"> {
  return {
    confirm: store.confirm,
    async commit(change) {
      const put = change.put.map(async (record) => {
        const stored = await store.load(record.keyId);
        const known = Math.max(
          stored?.changedAt ?? record.version - 1,
          view.standing(record.keyId)?.version ?? 0,
        );
        return { ...record, changedAt: known + 1 };
      });
      return store.commit({ ...change, put: await Promise.all(put) });
    },
  };
}

/** Saves the data of a Redis. Returns a copy of its file. */
async function savedFile({ dir, cli }: TestedRedis): Promise<string> {
  await cli("SAVE");
  const copy = await mkdtemp(join(tmpdir(), "latchkey-model-"));
  removeAtEnd(copy);
  await copyFile(join(dir, "dump.rdb"), join(copy, "dump.rdb"));
  return join(copy, "dump.rdb");
}

async function untilConnected({ client }: Instance): Promise<void> {
  await expect.poll(() => client.command("PING").catch(() => undefined)).toBe("PONG");
}

async function startRunning(port: number, removal: Removal): Promise<Running> {
  let [held, reached] = [Promise.resolve(), () => {}];
  const leaveOut: LeaveOut = { ...NOTHING, ...removal };
  const instance = await startInstance(
    port,
    {
      ...leaveOut,
      reading(client) {
        const inner = leaveOut.reading(client);
        return {
          ...inner,
          // The first command of a snapshot.
          async command(name, ...args) {
            if (name === "GET" && String(args[0]).endsWith(":forgotten")) {
              reached();
              await held;
            }
            return inner.command(name, ...args);
          },
        };
      },
    },
    { reads: false },
  );
  let reading: Promise<void> | undefined;
  let release = () => {};
  return {
    instance,
    async begin() {
      if (reading !== undefined) return;
      const stopped = Promise.withResolvers<void>();
      const open = Promise.withResolvers<void>();
      [held, reached, release] = [open.promise, stopped.resolve, open.resolve];
      reading = readUntilWell(instance).finally(() => {
        reading = undefined;
      });
      await Promise.race([stopped.promise, reading]);
    },
    async finish() {
      reading ??= readUntilWell(instance).finally(() => {
        reading = undefined;
      });
      release();
      held = Promise.resolve();
      await reading;
    },
  };
}
