import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { z } from "zod";
import { readMetrics } from "../support/metrics.ts";
import { HEALED_WITHIN_MS } from "./durations.ts";
import { insist, renewKeys, until, withKey, withLegacyKey } from "./keys.ts";
import { policyText } from "./policy.ts";
import type { Soaked } from "./soaked.ts";
import type { Steps } from "./steps.ts";

const LASTS_MS = 1000;
const WAIT = { timeout: HEALED_WITHIN_MS, interval: 100 };

/** What operators change, each with its effect on requests. */
export const CHANGES: Steps = {
  async "a policy that opens a route, and the former one"(soaked, _draw, keys) {
    keys.closed = undefined;
    writeFileSync(soaked.policyFile, policyText(true));
    await until(soaked.front, withKey(keys.valid, "/b/x"), "allowed", "the new policy opens /b");
    await pause(LASTS_MS);
    writeFileSync(soaked.policyFile, policyText());
    await until(
      soaked.front,
      withKey(keys.valid, "/b/x"),
      "denied scope_missing",
      "the former policy closes /b",
    );
    keys.closed = Symbol("closed");
  },
  async "the phase removes V1 keys, and returns"(soaked, _draw, keys) {
    const { migration } = soaked.operator;
    const V1 = withLegacyKey(keys.legacy);
    await insist(() => migration.set("removed"));
    await until(soaked.front, V1, "denied legacy_key_removed", "the phase removes V1 keys");
    keys.removed = Symbol("removed");
    await pause(LASTS_MS);
    keys.removed = undefined;
    for (const phase of ["deprecated", "active", "from-policy"] as const)
      await insist(() => migration.set(phase));
    await until(soaked.front, V1, "allowed", "the phase accepts V1 keys again");
  },
  async "another key signs, and the former one is retired"(soaked, _draw, keys) {
    const { kid } = added.parse(await soaked.secrets("add"));
    await untilKey(soaked, kid, "verifies");
    await soaked.secrets("promote", kid);
    await untilKey(soaked, kid, "signs");
    const former = await renewKeys(soaked, keys);
    for (const old of await kids(soaked, "verifies")) await soaked.secrets("retire", old, "--force");
    await expect.poll(() => kids(soaked, "verifies"), WAIT).toEqual([]);
    keys.ended.push(...former);
  },
};

const added = z.object({ kid: z.string() });

/** The signing keys that an instance has in this use. */
async function kids({ ops }: Soaked, use: "signs" | "verifies"): Promise<readonly string[]> {
  const series = [...(await readMetrics(ops)).keys()];
  return series.flatMap(
    (name) => new RegExp(`^latchkey_signing_key_info\\{kid="(.+)",use="${use}"\\}$`).exec(name)?.[1] ?? [],
  );
}

async function untilKey(soaked: Soaked, kid: string, use: "signs" | "verifies"): Promise<void> {
  await expect.poll(() => kids(soaked, use), WAIT).toContain(kid);
}
