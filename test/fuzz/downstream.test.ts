import { describe, expect, test } from "vitest";
import type { Conversation } from "./conversation.ts";
import { conversationsSchema } from "./conversation.ts";
import { batchOf } from "./grammar.ts";
import type { Harness } from "./harness.ts";
import { startHarness } from "./harness.ts";
import { minimise } from "./minimise.ts";

const SECOND_MS = 1000;
const VERSIONS = ["1.40.0", "1.39.3"];
const SEEDS = 2 ** 31;
const { FUZZ_SECONDS = "60", FUZZ_SEED, FUZZ_BATCH, GRPC_SERVER } = process.env;
const firstSeed = FUZZ_SEED === undefined ? Math.floor(Math.random() * SEEDS) : Number(FUZZ_SEED);
const runMs = (Number(FUZZ_SECONDS) * SECOND_MS) / VERSIONS.length;
/** The time limit for minimising a failed batch. */
const MINIMISE_MS = 90 * SECOND_MS;
/** The violations of a batch. */
const MAX_LINES = 10;
const START_AND_STOP_MS = 90 * SECOND_MS;

describe("no input from a client raises an RPC error, disturbs other clients, or reaches the upstream without a key", () => {
  test.each(VERSIONS)(
    "through Envoy %s: the invariant holds",
    { timeout: runMs + MINIMISE_MS + START_AND_STOP_MS },
    async (version) => {
      console.log(`FUZZ_SEED=${firstSeed} FUZZ_SECONDS=${FUZZ_SECONDS}, Envoy ${version}`);
      const harness = await startHarness(version, GRPC_SERVER === undefined ? {} : { GRPC_SERVER });
      try {
        expect(await (FUZZ_BATCH === undefined ? fuzz(harness) : replay(harness, FUZZ_BATCH))).toEqual([]);
        console.log(await harness.summary());
      } finally {
        await harness.stop();
      }
    },
  );
});

/** Runs batches, each with its own seed, until one violates the invariant. */
async function fuzz(harness: Harness): Promise<string[]> {
  const end = Date.now() + runMs;
  for (let seed = firstSeed; seed === firstSeed || Date.now() < end; seed = (seed + 1) % SEEDS) {
    const batch = batchOf(seed);
    try {
      const broken = await harness.run(batch);
      if (broken.length > 0)
        return [`FUZZ_SEED=${seed}`, ...broken.slice(0, MAX_LINES), ...(await smallest(harness, batch))];
    } catch (error) {
      // Envoy or Latchkey has exited, so nothing smaller can be tried.
      return [`FUZZ_SEED=${seed}`, String(error), asSetting(batch)];
    }
  }
  return [];
}

async function replay(harness: Harness, text: string): Promise<string[]> {
  return harness.run(conversationsSchema.parse(JSON.parse(text)));
}

async function smallest(harness: Harness, batch: readonly Conversation[]): Promise<string[]> {
  const end = Date.now() + MINIMISE_MS;
  let broken: string[] = [];
  const left = await minimise(batch, async (smaller) => {
    if (Date.now() > end) return false;
    const found = await harness.run(smaller);
    if (found.length > 0) broken = found;
    return found.length > 0;
  });
  const what = left.length === 0 ? "for which honest clients are enough:" : "of which this is left:";
  return [what, ...broken.slice(0, MAX_LINES), asSetting(left)];
}

/** Quotes for a shell. */
function asSetting(batch: readonly Conversation[]): string {
  return `FUZZ_BATCH='${JSON.stringify(batch).replaceAll("'", "\\u0027")}'`;
}
