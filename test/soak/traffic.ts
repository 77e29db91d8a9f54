import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { SentRequest, Verdict } from "./front.ts";
import type { Period, SoakKeys } from "./keys.ts";
import { issue, withKey, withLegacyKey } from "./keys.ts";
import type { Soaked } from "./soaked.ts";

const CLIENTS = 3;
const EVERY_MS = 10;
/** Of new keys, whose number the memory of an instance follows. */
const ISSUES_EVERY_MS = 2000;

/** A kind of request. */
interface Kind {
  readonly name: string;
  request(): SentRequest;
  /** The period in which each such request must be denied; undefined while one may be allowed. */
  deniedIn(): Period | undefined;
}

const WHOLE_SOAK: Period = Symbol("the whole soak");
const ALWAYS = () => WHOLE_SOAK;
const NEVER = () => undefined;

/** What was sent in a soak, and what was wrong. */
export interface Tally {
  readonly verdicts: Record<Verdict, number>;
  /** The number of each `kind verdict reason`. */
  readonly seen: Map<string, number>;
  readonly wrong: string[];
}

export const newTally = (): Tally => ({
  verdicts: { allowed: 0, denied: 0, unavailable: 0 },
  seen: new Map(),
  wrong: [],
});

export const sentOf = ({ verdicts }: Tally): number =>
  verdicts.allowed + verdicts.denied + verdicts.unavailable;

/** @param during the step that happens now */
export function startTraffic(
  soaked: Soaked,
  keys: SoakKeys,
  tally: Tally,
  during: () => string | undefined,
): { stop(): Promise<void> } {
  const kinds = kindsOf(keys);
  let going = true;
  const send = async ({ name, request, deniedIn }: Kind) => {
    const before = deniedIn();
    const { verdict, reason } = await soaked.front.send(request());
    tally.verdicts[verdict] += 1;
    const seen = `${name} ${verdict} ${reason}`.trimEnd();
    tally.seen.set(seen, (tally.seen.get(seen) ?? 0) + 1);
    // Every policy of the soak has both routes, so another policy must be in force.
    if (reason === "route_unknown") tally.wrong.push(`${name} had no route, during: ${during()}`);
    // A period that has ended meanwhile does not count.
    if (verdict === "allowed" && before !== undefined && before === deniedIn())
      tally.wrong.push(`${name} was allowed, during: ${during()}`);
    return verdict;
  };
  const client = async (first: number) => {
    for (let at = first; going; at++) {
      const kind = kinds[at % kinds.length];
      if (kind !== undefined) await send(kind);
      await pause(EVERY_MS);
    }
  };
  const holder = async () => {
    let brief = "";
    while (going) {
      const fresh = await issue(soaked, keys).catch(() => undefined);
      if (fresh) await send(kind("a new key", () => withKey(fresh.api_key), NEVER));
      // It is refreshed in the second half of its life. Otherwise it is still valid, or another one begins.
      const next = brief && (await soaked.operator.refresh(brief).catch(() => undefined));
      if (next) {
        brief = next.api_key;
        await send(kind("a refreshed key", () => withKey(brief), NEVER));
      } else if (brief === "" || (await send(kind("a brief key", () => withKey(brief), NEVER))) !== "allowed")
        brief = (await issue(soaked, keys, "brief").catch(() => undefined))?.api_key ?? "";
      await pause(ISSUES_EVERY_MS);
    }
  };
  const all = [...Array.from({ length: CLIENTS }, (_, at) => client(at * CLIENTS)), holder()];
  return {
    async stop() {
      going = false;
      await Promise.all(all);
    },
  };
}

const kind = (name: string, request: Kind["request"], deniedIn: Kind["deniedIn"]): Kind => ({
  name,
  request,
  deniedIn,
});

function kindsOf(keys: SoakKeys): readonly Kind[] {
  let turn = 0;
  const random = (bytes: number) => randomBytes(bytes).toString("base64url");
  const valid = kind("a valid key", () => withKey(keys.valid), NEVER);
  const ended = kind(
    "a key that has ended",
    () => withKey(keys.ended[turn++ % keys.ended.length] ?? ""),
    ALWAYS,
  );
  return [
    valid,
    ended,
    kind(
      "a V1 key",
      () => withLegacyKey(keys.legacy),
      () => keys.removed,
    ),
    kind("a key without the scope", () => withKey(keys.narrow), ALWAYS),
    ended,
    kind("a forged key", () => withKey(`${keys.valid.slice(0, -86)}${random(64)}`), ALWAYS),
    valid,
    kind("a key with few tokens", () => withKey(keys.limited), NEVER),
    ended,
    kind("an unknown key", () => withLegacyKey(random(32)), ALWAYS),
    kind(
      "a route that needs another scope",
      () => withKey(keys.valid, "/b/x"),
      () => keys.closed,
    ),
    kind("no key", () => ({ path: "/a/x", headers: {} }), ALWAYS),
  ];
}

/** Outcomes that every soak has. Without them it has not tried what it claims. */
export const EXPECTED: readonly string[] = [
  "a valid key allowed",
  "a key that has ended denied",
  "a V1 key allowed",
  "a key without the scope denied",
  "a forged key denied",
  "a key with few tokens allowed",
  "a key with few tokens denied",
  "an unknown key denied",
  "a route that needs another scope denied",
  "no key denied",
  "a new key allowed",
  "a refreshed key allowed",
];
