import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { instrumentSources } from "../support/instrumented.ts";
import { createCounters } from "./counters.ts";
import { seededRandom } from "./mutate.ts";
import { search } from "./search.ts";
import type { Target } from "./target.ts";

/**
 * Searches one target in this process, and prints the outcome as JSON.
 * Usage: `node run-target.ts TARGET [--seed N] [--seconds N] [--keep FOLDER]`
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    seconds: { type: "string" },
    keep: { type: "string" },
  },
});
const [name = ""] = positionals;
const SECOND_MS = 1000;
const root = fileURLToPath(new URL("../../", import.meta.url));

instrumentSources();
const { target }: { readonly target: Target } = await import(`./targets/${name}.ts`);
const counters = createCounters();
const endMs =
  values.seconds === undefined ? undefined : performance.now() + Number(values.seconds) * SECOND_MS;
const outcome = await search({
  target,
  counters,
  random: seededRandom(Number(values.seed)),
  corpus: readCorpus(`${root}test/guided/corpus/${name}`),
  dictionary: dictionaryOf(target.files),
  isOver: (runs) => (endMs === undefined ? runs >= target.runs : performance.now() >= endMs),
});
if (values.keep !== undefined) keep(values.keep, outcome.population);
const { runs, population, finding } = outcome;
console.log(
  JSON.stringify({
    runs,
    inputs: population.length,
    coverage: Object.fromEntries(counters.coverage(target.files)),
    ...(finding && { finding: { ...finding, input: finding.input.toString("latin1") } }),
  }),
);

function readCorpus(folder: string): ReadonlyMap<string, Buffer> {
  const names = existsSync(folder) ? readdirSync(folder).toSorted() : [];
  return new Map(names.map((file) => [file, readFileSync(`${folder}/${file}`)]));
}

/** The texts in the source of the target: what its code compares with. */
function dictionaryOf(files: readonly string[]): readonly Buffer[] {
  const sources = files.map((file) => readFileSync(`${root}src/${file}`, "utf8")).join("\n");
  const texts = Array.from(sources.matchAll(/"([^"\\\n]{1,40})"/g), ([, text = ""]) => text);
  return [...new Set(texts)].filter((text) => !text.startsWith(".")).map((text) => Buffer.from(text));
}

function keep(folder: string, population: readonly Buffer[]): void {
  mkdirSync(folder, { recursive: true });
  for (const input of population)
    writeFileSync(`${folder}/${createHash("sha256").update(input).digest("hex").slice(0, 12)}`, input);
}
