import { describe, expect, test } from "vitest";
import type { Held } from "../../../test/support/scripted-registry.ts";
import { KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { AuditEvent } from "../audit/audit-event.ts";
import type { AcknowledgedChange } from "./change-memory.ts";
import { createChangeMemory } from "./change-memory.ts";
import { RegistryBusy } from "./commit.ts";
import type { CommitOutcome } from "./key-change.ts";
import type { KeyRecord } from "./key-record.ts";
import type { LostWriteDeps } from "./lost-writes.ts";
import { enterLostWrites } from "./lost-writes.ts";

type Entered = Awaited<ReturnType<LostWriteDeps["store"]["enter"]>>;

const EVENT: AuditEvent = {
  eventId: "e1",
  atMs: NOW * 1000 - 9000,
  event: "key_registered",
  outcome: "done",
  actor: "admin:ops",
  keyId: KEY.keyId,
  family: KEY.family,
  owner: "acme",
  role: "contributor",
  plan: "team",
};
const SUCCESSOR = { keyId: "next", at: NOW - 10, notAfter: NOW + 400 };

const changeOf = (put: readonly KeyRecord[], event: Partial<AuditEvent> = {}): AcknowledgedChange => ({
  put,
  audit: [{ ...EVENT, ...event }],
  auditCursor: `cursor of ${event.eventId ?? "e1"}`,
});

interface Store extends Omit<Held, "records"> {
  readonly records?: KeyRecord[];
  /** Whether the store still has a change. Absent: it has lost all. */
  readonly holds?: (change: AcknowledgedChange) => boolean;
  /** The results of the first entries of records. Later ones succeed. */
  readonly entries?: readonly Entered[];
  /** The results of the first commits. Later ones succeed. */
  readonly outcomes?: readonly CommitOutcome[];
  /** The V1 key that is found, by whatever hash. */
  readonly legacyKey?: KeyRecord;
}

/** An instance that remembers these changes, and a store that has lost them. */
function start(changes: readonly AcknowledgedChange[], store: Store = {}, maxRecords = 1000) {
  const { records = [], holds = () => false, entries = [], outcomes = [], legacyKey } = store;
  const { registry, asked, recalled } = scriptedRegistry({ ...store, records }, outcomes);
  const memory = createChangeMemory({ monotonicMs: () => 0, maxRecords, maxAgeMs: 1e9 });
  for (const change of changes) memory.add(change);
  const lookedUp: number[] = [];
  const entered: (readonly [record: KeyRecord, nowSeconds: number])[] = [];
  const hashes: (readonly string[])[] = [];
  const reported: string[] = [];
  const forgotten: number[] = [];
  const deps: LostWriteDeps = {
    ...registry,
    memory,
    onEntered: (outcome) => void reported.push(outcome),
    onUnremembered: (count) => void forgotten.push(count),
    store: {
      ...registry.store,
      async commit(change) {
        const outcome = await registry.store.commit(change);
        return outcome.kind === "committed" ? { ...outcome, auditCursor: `entry ${asked.length}` } : outcome;
      },
      async holdChanges(portion) {
        lookedUp.push(portion.length);
        return portion.map(holds);
      },
      async enter(record, nowSeconds) {
        entered.push([record, nowSeconds]);
        const result = entries[entered.length - 1] ?? { kind: "entered", record };
        if (result.kind === "entered") records.push(result.record);
        return result;
      },
      async findLegacy(by) {
        hashes.push(by);
        return legacyKey;
      },
    },
  };
  return {
    enter: () => enterLostWrites(deps),
    memory,
    /** The commits. */
    asked,
    /** Every call that was to enter a record. */
    entered,
    recalled,
    hashes,
    lookedUp,
    /** The outcome of each change. */
    reported,
    forgotten,
  };
}

/** Enters one change. */
async function outcomeOf(change: AcknowledgedChange, store?: Store) {
  const started = start([change], store);
  await started.enter();
  return { ...started, outcome: started.reported.join(), event: started.asked.at(-1)?.audit.at(-1) };
}

describe("a change that the store has lost", () => {
  test("is in the store again: its key, its audit event, and an event that says so", async () => {
    const { entered, asked, outcome } = await outcomeOf(changeOf([KEY]));
    expect(outcome).toBe("entered");
    expect(entered).toEqual([[KEY, NOW]]);
    expect(asked).toStrictEqual([
      {
        nowSeconds: NOW,
        put: [],
        feedEntries: [],
        audit: [
          EVENT,
          {
            ...EVENT,
            eventId: "e1.lost",
            atMs: NOW * 1000,
            event: "write_lost",
            reason: "key_registered entered",
          },
        ],
      },
    ]);
  });

  test("may be lost again, which is one more event of the same id", async () => {
    const { enter, memory, asked } = start([changeOf([KEY])]);
    await enter();
    expect(memory.all()).toEqual([{ put: [KEY], audit: asked[0]?.audit, auditCursor: "entry 1" }]);
    await enter();
    expect(asked[1]?.audit.map(({ eventId }) => eventId)).toEqual(["e1", "e1.lost"]);
    expect(memory.size()).toBe(1);
  });

  test("is left alone if the store has it", async () => {
    const kept = changeOf([KEY]);
    const { enter, memory, asked, entered, reported } = start([kept], { holds: () => true });
    await enter();
    expect([asked, entered, reported]).toEqual([[], [], []]);
    expect(memory.all()).toEqual([kept]);
  });

  test("without a subject has an event without one", async () => {
    const { eventId, atMs, actor } = EVENT;
    const bare: AuditEvent = { eventId, atMs, actor, event: "legacy_keys_imported", outcome: "done" };
    const { event } = await outcomeOf({ put: [], audit: [bare], auditCursor: "1-0" });
    expect(event).toStrictEqual({
      ...bare,
      eventId: "e1.lost",
      atMs: NOW * 1000,
      event: "write_lost",
      reason: "legacy_keys_imported restored",
    });
  });

  test("that only handed a key out once more has the event of its key, of an unknown actor", async () => {
    const { event, entered } = await outcomeOf({ put: [KEY], audit: [] });
    expect(entered).toEqual([[KEY, NOW]]);
    const { keyId, family, owner, role } = KEY;
    expect(event).toStrictEqual({
      eventId: `${keyId}.lost`,
      atMs: NOW * 1000,
      event: "write_lost",
      outcome: "done",
      reason: "key_handed_out entered",
      actor: "unknown",
      ...{ keyId, family, owner, role },
    });
  });

  test("of the registry's freeze is not applied again", async () => {
    for (const freeze of ["thaw", { from: NOW, until: NOW + 60 }] as const) {
      const change = { ...changeOf([], { event: "registry_frozen" }), freeze };
      const { outcome, event, asked } = await outcomeOf(change);
      expect(outcome).toBe("not_applied");
      expect(event).toMatchObject({ outcome: "refused", reason: "registry_frozen not_applied" });
      expect(asked[0]).not.toHaveProperty("freeze");
    }
  });

  test("is entered once more if another change of the store came first", async () => {
    const { asked, outcome } = await outcomeOf(changeOf([KEY]), { outcomes: [{ kind: "conflict" }] });
    expect(asked).toHaveLength(2);
    expect(outcome).toBe("entered");
  });
});

describe("a key that the store has lost", () => {
  test("is entered as revoked if it has ended since", async () => {
    const ended: Entered = { kind: "entered", record: { ...KEY, revokedAt: NOW } };
    const { outcome, event } = await outcomeOf(changeOf([KEY]), { entries: [ended] });
    expect(outcome).toBe("entered_revoked");
    expect(event).toMatchObject({ outcome: "done" });
    const before = changeOf([{ ...KEY, revokedAt: NOW }], { event: "key_revoked" });
    expect(await outcomeOf(before, { entries: [ended] })).toMatchObject({ outcome: "entered" });
  });

  test("is not entered if it has expired", async () => {
    const expired = await outcomeOf(changeOf([{ ...KEY, expiresAt: NOW }]));
    expect(expired).toMatchObject({ outcome: "restored", entered: [] });
    expect(await outcomeOf(changeOf([{ ...KEY, expiresAt: NOW + 1 }]))).toMatchObject({ outcome: "entered" });
  });

  test("is entered before the old version of another key, because its token is out", async () => {
    const next = { ...KEY, keyId: "next" };
    const { entered } = await outcomeOf(changeOf([{ ...KEY, successor: SUCCESSOR, version: 2 }, next]));
    expect(entered.map(([{ keyId }]) => keyId)).toEqual(["next", KEY.keyId]);
  });

  test("is entered once, as its last change left it", async () => {
    const last = { ...KEY, disabled: true, version: 2 };
    const { enter, entered, reported } = start([
      changeOf([KEY]),
      changeOf([last], { eventId: "e2", event: "key_disabled" }),
    ]);
    await enter();
    expect(entered).toEqual([[last, NOW]]);
    expect(reported).toEqual(["entered", "restored"]);
  });

  test("is entered as its last change left it, although an older change was remembered later", async () => {
    const changed = { event: "key_rotated", eventId: "e2" } as const;
    const last = { ...KEY, successor: SUCCESSOR, version: 2, changedAt: NOW * 1000 - 10 };
    // An older change is the later one if it could not be entered at first, or if it handed out what it had read before.
    for (const older of [changeOf([KEY]), { put: [KEY], audit: [] }]) {
      const { enter, entered, reported } = start([changeOf([last], changed), older]);
      await enter();
      expect(entered).toEqual([[last, NOW]]);
      expect(reported).toEqual(["entered", "restored"]);
    }
    // Versions are repeated after a loss. The time of the change is not.
    const repeated = { ...last, disabled: true, changedAt: NOW * 1000 - 5 };
    const { enter, entered } = start([changeOf([last]), changeOf([repeated], changed), changeOf([last])]);
    await enter();
    expect(entered).toEqual([[repeated, NOW]]);
  });

  test("is entered by the store's clock", async () => {
    const nowMs = (NOW + 90) * 1000;
    const { entered } = await outcomeOf(changeOf([KEY]), { entries: [{ kind: "clock", nowMs }] });
    expect(entered.map(([, nowSeconds]) => nowSeconds)).toEqual([NOW, NOW + 90]);
  });

  test("and that the store gets from another instance meanwhile, is not replaced", async () => {
    const records: KeyRecord[] = [];
    const other = { ...KEY, name: "other", version: 5 };
    const conflict: Entered = { kind: "conflict" };
    const entries = {
      get 0() {
        records.push(other);
        return conflict;
      },
    } as unknown as readonly Entered[];
    const { entered, outcome } = await outcomeOf(changeOf([KEY]), { records, entries });
    expect(entered).toHaveLength(1);
    expect(records).toEqual([other]);
    expect(outcome).toBe("restored");
  });
});

describe("a key that the store has", () => {
  const rotated = changeOf([{ ...KEY, successor: SUCCESSOR, version: 2 }], { event: "key_rotated" });

  test("gets the successor that was lost, also in a frozen registry", async () => {
    const { asked, outcome, entered } = await outcomeOf(rotated, { records: [KEY] });
    expect(asked[0]).toMatchObject({
      put: [{ ...KEY, successor: SUCCESSOR, version: 2 }],
      audit: [],
      isLost: true,
    });
    expect([outcome, entered]).toEqual(["entered", []]);
  });

  test("gets it once more if another change of the key came first", async () => {
    const { asked } = await outcomeOf(rotated, { records: [KEY], outcomes: [{ kind: "conflict" }] });
    expect(asked.map(({ put }) => put.length)).toEqual([1, 1, 0]);
  });

  test("is not written if it lacks nothing", async () => {
    const { asked, outcome } = await outcomeOf(changeOf([KEY]), { records: [KEY] });
    expect(asked.map(({ put }) => put)).toEqual([[]]);
    expect(outcome).toBe("restored");
  });

  test("keeps another successor, which an operator must see", async () => {
    const other = { ...KEY, successor: { ...SUCCESSOR, keyId: "other" }, version: 2 };
    const { outcome, event } = await outcomeOf(rotated, { records: [other] });
    expect(outcome).toBe("conflicting");
    expect(event).toMatchObject({ outcome: "refused", reason: "key_rotated conflicting" });
  });

  test.each<readonly [event: AuditEvent["event"], outcome: string]>([
    ["key_changed", "not_applied"],
    ["key_disabled", "not_applied"],
    ["key_enabled", "not_applied"],
    ["key_refreshed", "restored"],
  ])("keeps its name after a lost %s, which is %s", async (event, expected) => {
    const { outcome } = await outcomeOf(changeOf([{ ...KEY, name: "lost", version: 2 }], { event }), {
      records: [KEY],
    });
    expect(outcome).toBe(expected);
  });

  test("keeps its name also after the second loss of that change", async () => {
    const changed = changeOf([{ ...KEY, name: "lost", version: 2 }], { event: "key_changed" });
    const { enter, reported } = start([changed], { records: [KEY] });
    await enter();
    await enter();
    expect(reported).toEqual(["not_applied", "not_applied"]);
  });
});

describe("a V1 key that the store has lost", () => {
  const v1 = { ...KEY, keyId: "v1", legacy: { hash: "h", alias: "a" } };

  test("is entered, and no instance continues to remember that it is unknown", async () => {
    const { entered, asked, hashes } = await outcomeOf(changeOf([v1]));
    expect(entered).toEqual([[v1, NOW]]);
    expect(hashes).toEqual([["h", "a"]]);
    expect(asked[0]?.feedEntries).toEqual([{ kind: "legacy", keyIds: [] }]);
  });

  test("is entered together with the V2 key of its exchange, with the same effect on instances", async () => {
    const { entered, asked } = await outcomeOf(changeOf([{ ...v1, version: 2 }, KEY]));
    expect(entered.map(([{ keyId }]) => keyId)).toEqual([KEY.keyId, "v1"]);
    expect(asked[0]?.feedEntries).toEqual([{ kind: "legacy", keyIds: [] }]);
  });

  test("is not entered beside the same key that was imported again", async () => {
    for (const legacy of [v1.legacy, { hash: "h" }]) {
      const legacyKey = { ...v1, keyId: "imported again" };
      const { entered, outcome, hashes, event } = await outcomeOf(changeOf([{ ...v1, legacy }]), {
        legacyKey,
      });
      expect(entered).toEqual([]);
      expect(hashes).toEqual([Object.values(legacy)]);
      expect(outcome).toBe("conflicting");
      expect(event).toMatchObject({ outcome: "refused" });
    }
  });
});

describe("the call of an Idempotency-Key", () => {
  const remember = { id: "call", bodyDigest: "digest", keyId: KEY.keyId, until: NOW + 1 };
  const change = { ...changeOf([KEY]), remember };

  test("is remembered again with its key", async () => {
    const { asked, recalled } = await outcomeOf(change);
    expect(recalled).toEqual([["call", NOW]]);
    expect(asked).toMatchObject([{ remember }]);
  });

  test("is not remembered again if it is over, or if the store remembers one", async () => {
    const over = await outcomeOf({ ...change, remember: { ...remember, until: NOW } });
    const repeated = await outcomeOf(change, { call: { ...remember, keyId: "other" } });
    for (const { asked, outcome } of [over, repeated]) {
      expect(asked).toHaveLength(1);
      expect(asked[0]).not.toHaveProperty("remember");
      expect(outcome).toBe("entered");
    }
  });
});

describe("many changes", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, at) =>
      changeOf([{ ...KEY, keyId: `key ${at}` }], { eventId: `e${at}` }),
    );

  test("are looked up a hundred at a time, and all are entered", async () => {
    const { enter, lookedUp, entered } = start(many(201));
    await enter();
    expect(lookedUp).toEqual([100, 100, 1]);
    expect(entered).toHaveLength(201);
  });

  test("are entered although one key changes again and again, which is reported at the end", async () => {
    const entries = Array<Entered>(8).fill({ kind: "conflict" });
    const { enter, reported, memory } = start(many(3), { entries });
    await expect(enter()).rejects.toThrow(RegistryBusy);
    expect(reported).toEqual(["entered", "entered"]);
    expect(memory.all().map(({ auditCursor }) => auditCursor)).toEqual([
      "cursor of e0",
      "entry 1",
      "entry 2",
    ]);
  });

  test("stop at once if the store is unavailable", async () => {
    const failure = new Error("unavailable");
    const entries = {
      get 0(): Entered {
        throw failure;
      },
    } as unknown as readonly Entered[];
    const { enter, entered, reported } = start(many(3), { entries });
    await expect(enter()).rejects.toBe(failure);
    expect([entered.length, reported]).toEqual([1, []]);
  });
});

describe("changes that were forgotten too early", () => {
  const three = [1, 2, 3].map((at) => changeOf([{ ...KEY, keyId: `key ${at}` }], { eventId: `e${at}` }));

  test("are reported if the store has lost the oldest that is remembered", async () => {
    const { enter, forgotten } = start(three, {}, 2);
    await enter();
    expect(forgotten).toEqual([1]);
  });

  test("are not reported if the store has that, because it then has all earlier ones", async () => {
    const { enter, forgotten, reported } = start(three, { holds: (change) => change === three[1] }, 2);
    await enter();
    expect([forgotten, reported]).toEqual([[], ["entered"]]);
  });

  test("are not reported if there were none", async () => {
    const { enter, forgotten } = start(three);
    await enter();
    expect(forgotten).toEqual([]);
  });
});
