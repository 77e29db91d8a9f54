import type { CommitRequirement } from "../core/keys/key-change.ts";
import type { RedisClient } from "./client.ts";
import { pairs, texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("release-self-service");

/**
 * Returns a function that checks about the next `limit` self-service keys, takes out those that no longer count, and returns
 * their number. A commit takes out single keys that end. Keys that ended with their family or by a cut-off, and keys that an
 * older version left, are found here.
 */
export function createRelease(client: RedisClient): (limit: number) => Promise<number> {
  const step = createReleaseStep(client, "self-service");
  let cursor = "0";
  return async (limit) => {
    const { next, removed } = await step(client.keys.selfService, cursor, limit);
    cursor = next;
    return removed;
  };
}

export type OwnedKeys = Pick<NonNullable<CommitRequirement["ownedBelow"]>, "owner" | "as">;

/** Keys of an owner that one call checks. Of an owner with more, the others count until they expire. */
const OWNED = 2000;
const OWNED_STEP = 100;

/** Returns a function that takes out the keys of an owner that ended with their family or by a cut-off. Returns their number. */
export function createOwnerRelease(client: RedisClient): (owned: OwnedKeys) => Promise<number> {
  const step = createReleaseStep(client, "owner");
  const { activeByOwner, overlapByOwner } = client.keys;
  return async ({ owner, as }) => {
    const index = (as === "active" ? activeByOwner : overlapByOwner)(owner);
    let [cursor, released] = ["0", 0];
    for (let checked = 0; checked < OWNED; checked += OWNED_STEP) {
      const { next, removed } = await step(index, cursor, OWNED_STEP);
      cursor = next;
      released += removed;
      if (cursor === "0") break;
    }
    return released;
  };
}

/** Returns a function that checks about the next `limit` members of an index. */
function createReleaseStep(client: RedisClient, kind: "self-service" | "owner") {
  const run = client.script(SOURCE, "release-self-service");
  const { keys } = client;
  return async (index: string, cursor: string, limit: number) => {
    const reply = await client.command("ZSCAN", index, cursor, "COUNT", limit);
    const [next, members] = Array.isArray(reply) ? reply : [];
    const keyIds = pairs(members).map(([keyId]) => keyId);
    const names = [index, keys.endedFamilies, keys.cutOffs, ...keyIds.map(keys.key)];
    const removed = keyIds.length === 0 ? 0 : Number(await run(names, [kind, ...keyIds]));
    return { next: texts([next])[0] ?? "0", removed };
  };
}
