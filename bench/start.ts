import { fillWithEndedKeys } from "../test/support/ended-keys.ts";
import type { TestedRedis } from "../test/support/redis.ts";
import { startRedis } from "../test/support/redis.ts";
import { startVariant } from "./candidates/candidate.ts";
import { createRegistry } from "./keys.ts";
import { cpuUs } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";

interface Case {
  readonly name: string;
  readonly redis?: TestedRedis;
  readonly env?: Readonly<Record<string, string>>;
}

/** From the start of the process to ready, with stores of different sizes. */
export async function start(empty: TestedRedis, { rounds, keys, registeredKeys }: Scale): Promise<Section> {
  const full = await startRedis();
  try {
    // Without a fleet in it, an instance would not accept a store that has keys.
    await (await startVariant({ name: "first", redis: full })).stop();
    await fillWithEndedKeys(full, keys);
    const inStore = async (size: number) => ({ DATA_DIR: await createRegistry(size) });
    const cases: Case[] = [
      { name: "Redis", redis: empty },
      { name: `Redis, ${keys.toLocaleString("en")} revocations`, redis: full },
      { name: "embedded store, 1,000 keys", env: await inStore(1000) },
      {
        name: `embedded store, ${registeredKeys.toLocaleString("en")} keys`,
        env: await inStore(registeredKeys),
      },
    ];
    const figures = await alternate(cases, rounds, measure);
    return section("start", "Start to ready", "Redis", figures);
  } finally {
    await full.stop();
  }
}

async function measure(variant: Case) {
  const startMs = performance.now();
  const latchkey = await startVariant(variant);
  try {
    return { ms: performance.now() - startMs, "CPU ms": (await cpuUs(latchkey.pid)) / 1000 };
  } finally {
    await latchkey.stop();
  }
}
