import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { ViewEntry } from "../core/revocation/instance-view.ts";
import type { CutOff } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import { pairs, texts } from "./replies.ts";

/** About 0.6 ms of Redis: other commands wait meanwhile. */
const SCAN_COUNT = 2000;

/** Yields everything that an instance's view must know, as it is stored now. */
export async function* snapshot(client: RedisClient): AsyncIterable<readonly ViewEntry[]> {
  yield [{ kind: "forgotten", before: Number(await client.command("GET", client.keys.forgotten)) }];
  for await (const families of scan(client, "ZSCAN", client.keys.endedFamilies)) {
    yield families.map(([family, until]) => ({ kind: "family", family, until: Number(until) }));
  }
  for await (const cutOffs of hashPages(client, client.keys.cutOffs))
    yield cutOffs.map((cutOff) => ({ kind: "cutoff", ...toCutOff(cutOff) }));
  for (const name of [client.keys.standings, client.keys.overrides])
    for await (const entries of hashPages(client, name)) yield entries.flatMap(toEntry);
}

/** The fields and values of a hash. A field may occur twice. */
export function hashPages(client: RedisClient, name: string): AsyncIterable<[string, string][]> {
  return scan(client, "HSCAN", name);
}

/**
 * SCAN returns every member that exists during the whole scan at least once. A view accepts repeated entries. Redis reads the next
 * page while the caller works on this one.
 */
async function* scan(
  client: RedisClient,
  command: "ZSCAN" | "HSCAN",
  name: string,
): AsyncIterable<[string, string][]> {
  const read = async (cursor: string): Promise<readonly [next: string, members: unknown]> => {
    const reply = await client.command(command, name, cursor, "COUNT", SCAN_COUNT);
    const [next, members] = Array.isArray(reply) ? reply : [];
    return [texts([next])[0] ?? "0", members];
  };
  let reading = read("0");
  for (;;) {
    const [cursor, members] = await reading;
    const isLast = cursor === "0";
    if (!isLast) {
      reading = read(cursor);
      // The caller may stop before it awaits this page.
      reading.catch(() => undefined);
    }
    yield pairs(members);
    if (isLast) return;
  }
}

/** A restriction or an override. */
function toEntry([, text]: readonly [string, string]): readonly ViewEntry[] {
  const entry = decodeFeedEntry(text);
  return entry?.kind === "key" || entry?.kind === "override" ? [entry] : [];
}

/** A cut-off from its field and its value. */
export function toCutOff([field, value]: readonly [string, string]): CutOff {
  const colon = field.indexOf(":");
  const scope = field.slice(0, colon);
  const [before, until] = value.split(" ").map(Number);
  const isScope = scope === "all" || scope === "role" || scope === "owner";
  if (!isScope || before === undefined || until === undefined) throw new Error("a cut-off is damaged");
  return { scope, subject: field.slice(colon + 1), before, until };
}
