import { describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { InstanceView } from "../../src/core/revocation/instance-view.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { LeaveOut } from "../support/feed.ts";
import {
  endedIn,
  endings,
  newRecord,
  put,
  readUntilWell,
  revoked,
  startInstance,
  startReplicated,
  useRedis,
} from "../support/feed.ts";
import {
  asIs,
  withoutEpoch,
  withoutMerge,
  withoutReplicationId,
  withoutSequence,
  withoutWriteBack,
} from "../support/feed-rules.ts";
import type { TestedRedis } from "../support/redis.ts";

let redis: TestedRedis;
useRedis((started) => {
  redis = started;
});

/** Whether a key that was revoked is refused: where it was known, and by whoever starts later. */
interface Refused {
  readonly there: boolean;
  readonly later: boolean;
}

async function refused(there: InstanceView, port: number, record: KeyRecord): Promise<Refused> {
  const later = await startInstance(port);
  const isEnded = (view: InstanceView) => endedIn(view, record) === "key_revoked";
  return { there: isEnded(there), later: isEnded(later.view) };
}

async function trimmed(leaveOut: LeaveOut): Promise<Refused> {
  const one = await startInstance(redis.port);
  // The store has been written before: it has its epoch.
  await revoked(one);
  const two = await startInstance(redis.port, leaveOut);
  const record = await revoked(one);
  await redis.cli("XTRIM", "latchkey:feed", "MAXLEN", "0");
  await two.feed.read();
  return refused(two.view, redis.port, record);
}

async function flushed(leaveOut: LeaveOut): Promise<Refused> {
  const one = await startInstance(redis.port, leaveOut);
  const record = await revoked(one);
  await one.feed.read();
  await redis.cli("FLUSHALL");
  await one.feed.read();
  return refused(one.view, redis.port, record);
}

/** The store has lost everything, and somebody has told as much anew before anybody looked. */
async function countedAnew(leaveOut: LeaveOut): Promise<Refused> {
  const one = await startInstance(redis.port, leaveOut);
  const record = await revoked(one);
  await one.feed.read();
  await redis.cli("FLUSHALL");
  const other = await startInstance(redis.port);
  for (let told = 0; told < 2; told++) await revoked(other);
  await one.feed.read();
  await one.feed.read();
  return refused(one.view, redis.port, record);
}

/** The primary goes with a revocation that its replica has not; there as many others are told before anybody looks. */
async function failedOver(leaveOut: LeaveOut): Promise<Refused> {
  const { relay, replica } = await startReplicated();
  const one = await startInstance(relay.port, leaveOut);
  await revoked(one);
  await expect.poll(() => replica.cli("XLEN", "latchkey:feed")).toBe("1");
  await replica.cli("REPLICAOF", "NO", "ONE");
  const record = await revoked(one);
  await one.feed.read();
  relay.leadTo(replica.port);
  await revoked(await startInstance(replica.port));
  await readUntilWell(one);
  await readUntilWell(one);
  return refused(one.view, replica.port, record);
}

const BOTH: Refused = { there: true, later: true };

describe("each rule of the feed is there for a loss: without it a revoked key comes back", () => {
  test.each([
    ["a trimmed stream", "the sequence", trimmed, withoutSequence, { there: false, later: true }],
    ["FLUSHALL", "the merge", flushed, withoutMerge, { there: false, later: false }],
    ["FLUSHALL", "the write back", flushed, withoutWriteBack, { there: true, later: false }],
    [
      "FLUSHALL, and as much told anew",
      "the epoch",
      countedAnew,
      withoutEpoch,
      { there: true, later: false },
    ],
    [
      "a replica promoted behind, and as much told anew",
      "the server's name",
      failedOver,
      withoutReplicationId,
      { there: true, later: false },
    ],
  ] as const)("%s: %s", async (_loss, _rule, lose, leaveOut, without) => {
    expect(await lose(asIs)).toEqual(BOTH);
    await redis.cli("FLUSHALL");
    expect(await lose(leaveOut)).toEqual(without);
  });
});

test("whatever is revoked between any two commands of a start is known when it is over", async () => {
  const one = await startInstance(redis.port);
  const meanwhile: KeyRecord[] = [await revoked(one)];
  const disturb = async <Reply>(reply: Promise<Reply>) => {
    const settled = await reply;
    meanwhile.push(await revoked(one));
    return settled;
  };
  const disturbed: LeaveOut = {
    ...asIs,
    reading: (client) => ({
      ...client,
      command: (...args) => disturb(client.command(...args)),
      script: (source) => {
        const run = client.script(source);
        return (keys, args) => disturb(run(keys, args));
      },
    }),
  };
  const late = await startInstance(redis.port, disturbed);
  expect(meanwhile.length).toBeGreaterThan(6);
  const told = [...meanwhile];
  await late.feed.read();
  expect(told.filter((record) => endedIn(late.view, record) !== "key_revoked")).toEqual([]);
});

test("an old word that comes late never undoes a newer one, by the feed or by a snapshot", async () => {
  const [one, two] = [await startInstance(redis.port), await startInstance(redis.port)];
  const record = await put(one, newRecord());
  await put(one, { ...record, version: 2, disabled: true });
  const enabled = await redis.cli("HGET", "latchkey:keys:standings", record.keyId);
  await put(one, { ...record, version: 3, disabled: false });
  await put(one, { ...record, version: 4, disabled: true });
  const admin = await connectRedis({ url: redis.adminUrl, commandTimeoutMs: 1000 });
  endings.push(admin.close);
  const number = await admin.command("INCR", "latchkey:feed:sequence");
  const stale = enabled.replace(/,2,(\d+),\d,/, ",3,$1,0,");
  await admin.command("XADD", "latchkey:feed", "*", "s", Number(number), "e", stale);
  await two.feed.read();
  expect(endedIn(two.view, record)).toBe("key_disabled");
  await admin.command("HSET", "latchkey:keys:standings", record.keyId, stale);
  await redis.cli("XTRIM", "latchkey:feed", "MAXLEN", "0");
  await admin.command("INCR", "latchkey:feed:sequence");
  await two.feed.read();
  expect(endedIn(two.view, record)).toBe("key_disabled");
});
