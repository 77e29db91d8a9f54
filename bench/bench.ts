import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { startRedis } from "../test/support/redis.ts";
import { direct } from "./direct.ts";
import { features } from "./features.ts";
import { footprint } from "./footprint.ts";
import { keys } from "./keys.ts";
import { limits } from "./limits.ts";
import type { Section } from "./report.ts";
import { describeMachine, formatSection } from "./report.ts";
import { FULL, QUICK } from "./scale.ts";
import { start } from "./start.ts";
import { throughEnvoy } from "./through-envoy.ts";

const { values } = parseArgs({
  options: {
    /** Only shows that everything runs. */
    quick: { type: "boolean" },
    /** Sections, comma-separated. */
    only: { type: "string" },
    rounds: { type: "string" },
    /** A file for all results. */
    json: { type: "string" },
  },
});
const chosen = values.quick ? QUICK : FULL;
const scale = { ...chosen, rounds: Number(values.rounds ?? chosen.rounds) };
const SECTIONS = { direct, envoy: throughEnvoy, limits, features, keys, start, footprint };

const where = describeMachine();
console.log(JSON.stringify(where));
const redis = await startRedis();
const sections: Section[] = [];
try {
  for (const [name, measure] of Object.entries(SECTIONS)) {
    if (values.only !== undefined && !values.only.split(",").includes(name)) continue;
    const measured = await measure(redis, scale);
    sections.push(measured);
    console.log(formatSection(measured));
  }
} finally {
  await redis.stop();
}
if (values.json !== undefined)
  await writeFile(values.json, JSON.stringify({ where, scale, sections }, null, 2));
