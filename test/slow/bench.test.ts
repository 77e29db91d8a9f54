import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { z } from "zod";
import { startChild } from "../../scripts/child.ts";
import { removeAtEnd } from "../support/at-end.ts";

const BENCH = fileURLToPath(new URL("../../bench/bench.ts", import.meta.url));
const MICRO = fileURLToPath(new URL("../../bench/micro.ts", import.meta.url));

const figure = z.object({ median: z.number(), least: z.number(), most: z.number() });
const results = z.object({
  where: z.object({ cpu: z.string(), node: z.string() }),
  sections: z.array(z.object({ name: z.string(), rows: z.record(z.string(), z.record(z.string(), figure)) })),
});

async function run(
  script: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = await startChild(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", script, ...args],
    {
      env: { ...process.env, ...env },
    },
  );
  if ((await child.exited) !== 0) throw new Error(child.output());
  return child.output();
}

test("the benchmark completes: every candidate responds, and each figure is present", async () => {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-bench-test-"));
  removeAtEnd(folder);
  const json = join(folder, "results.json");
  const output = await run(BENCH, ["--quick", "--json", json]);
  const { sections } = results.parse(JSON.parse(await readFile(json, "utf8")));
  expect(sections.map(({ name }) => name)).toEqual([
    ...["direct", "envoy", "limits", "features", "keys", "start", "footprint"],
  ]);
  for (const { name, rows } of sections) {
    // The Go service is not built for this test.
    expect(Object.keys(rows).length, name).toBeGreaterThan(name === "limits" ? 0 : 3);
    for (const row of Object.keys(rows)) expect(output).toContain(`| ${row} |`);
  }
});

test("the microbenchmark completes", async () => {
  expect(await run(MICRO, [], { ROUND_MS: "5" })).toContain("| the whole Check |");
});
