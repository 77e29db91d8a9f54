import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { ViewEntry } from "../core/revocation/instance-view.ts";
import type { Revocation } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import { pairs, texts } from "./replies.ts";

const SCAN_COUNT = 500;

/** Yields everything that an instance's view must know, as it is stored now. */
export async function* snapshot(client: RedisClient): AsyncIterable<readonly ViewEntry[]> {
  yield [{ kind: "forgotten", before: Number(await client.command("GET", client.keys.forgotten)) }];
  for await (const families of scan(client, "ZSCAN", client.keys.endedFamilies)) {
    yield families.map(([family, until]) => ({ kind: "family", family, until: Number(until) }));
  }
  for await (const cutOffs of scan(client, "HSCAN", client.keys.cutOffs)) yield cutOffs.map(toCutOff);
  for (const name of [client.keys.standings, client.keys.overrides])
    for await (const entries of scan(client, "HSCAN", name)) yield entries.flatMap(toEntry);
}

/** SCAN returns every member that exists during the whole scan at least once. A view accepts repeated entries. */
async function* scan(
  client: RedisClient,
  command: "ZSCAN" | "HSCAN",
  name: string,
): AsyncIterable<[string, string][]> {
  let cursor = "0";
  do {
    const reply = await client.command(command, name, cursor, "COUNT", SCAN_COUNT);
    const [next, members] = Array.isArray(reply) ? reply : [];
    cursor = texts([next])[0] ?? "0";
    yield pairs(members);
  } while (cursor !== "0");
}

/** A restriction or an override. */
function toEntry([, text]: readonly [string, string]): readonly ViewEntry[] {
  const entry = decodeFeedEntry(text);
  return entry?.kind === "key" || entry?.kind === "override" ? [entry] : [];
}

function toCutOff([field, value]: readonly [string, string]): Revocation {
  const colon = field.indexOf(":");
  const scope = field.slice(0, colon);
  const [before, until] = value.split(" ").map(Number);
  const isScope = scope === "all" || scope === "role" || scope === "owner";
  if (!isScope || before === undefined || until === undefined) throw new Error("a cut-off is damaged");
  return { kind: "cutoff", scope, subject: field.slice(colon + 1), before, until };
}
