import { LatchkeyProblem } from "../../src/client/problem.ts";
import type { Instance } from "./fleet.ts";
import type { KnownKey } from "./key-model.ts";
import { expectedOf } from "./key-model.ts";
import type { History } from "./operations.ts";

interface Observed {
  readonly verdict: "allowed" | "denied" | "unavailable";
  readonly reason: string;
}

/** Sends one key to one instance. Returns the violation if the response breaks a guarantee. */
export async function observe(
  { phases, splitMs }: Pick<History, "phases" | "splitMs">,
  key: KnownKey,
  instance: Instance,
): Promise<string | undefined> {
  const sentMs = performance.now();
  const { verdict, reason } = await ask(key, instance);
  const expected = expectedOf(key, phases, { sentMs, answeredMs: performance.now(), splitMs });
  if (verdict === "unavailable" || expected === "either" || verdict === expected) return undefined;
  const ends = key.ends.map(
    ({ what, ackedMs }) => `${what} (acknowledged ${(sentMs - ackedMs).toFixed(0)} ms before)`,
  );
  const switches = key.switches.map(
    ({ what, ackedMs }) => `${what} (${(sentMs - ackedMs).toFixed(0)} ms before)`,
  );
  const past = [
    `registered ${(sentMs - key.ackedMs).toFixed(0)} ms before`,
    ...ends,
    ...switches,
    ...(key.isLegacy ? phases.map(({ what }) => what).slice(-2) : []),
  ].join("; ");
  return `${key.keyId} is ${verdict} (${reason}) at ${instance.name}, expected ${expected}: ${past}`;
}

async function ask({ token }: KnownKey, { client }: Instance): Promise<Observed> {
  try {
    await client.validate(token);
    return { verdict: "allowed", reason: "" };
  } catch (error) {
    const { status, reason } = error instanceof LatchkeyProblem ? error : { status: 0, reason: "no answer" };
    // An undecidable request is denied, with the status of an outage.
    return { verdict: status === 401 ? "denied" : "unavailable", reason };
  }
}

/** Checks every key at one instance. */
export async function observeAll(history: History, instance: Instance): Promise<string[]> {
  const found = await Promise.all(history.keys.map((key) => observe(history, key, instance)));
  return found.filter((violation) => violation !== undefined);
}
