import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { ViewEntry } from "../core/revocation/instance-view.ts";
import type { CutOff } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import { pairs } from "./replies.ts";
import { scanPages } from "./scan-pages.ts";

/** Yields everything that an instance's view must know, as it is stored now. */
export async function* snapshot(client: RedisClient): AsyncIterable<readonly ViewEntry[]> {
  yield [{ kind: "forgotten", before: Number(await client.command("GET", client.keys.forgotten)) }];
  for await (const families of scanPages(client, "ZSCAN", { name: client.keys.endedFamilies })) {
    yield pairs(families).map(([family, until]) => ({ kind: "family", family, until: Number(until) }));
  }
  for await (const cutOffs of hashPages(client, client.keys.cutOffs))
    yield cutOffs.map((cutOff) => ({ kind: "cutoff", ...toCutOff(cutOff) }));
  for (const name of [client.keys.standings, client.keys.overrides])
    for await (const entries of hashPages(client, name)) yield entries.flatMap(toEntry);
}

/** The fields and values of a hash. A field may occur twice. */
export async function* hashPages(client: RedisClient, name: string): AsyncIterable<[string, string][]> {
  for await (const members of scanPages(client, "HSCAN", { name })) yield pairs(members);
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
