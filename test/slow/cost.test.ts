import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";

const figures = z.object({ bytes: z.number(), promises: z.number(), storeRequests: z.number() });
type Cost = z.infer<typeof figures>;

/** Another version of V8 may lay objects out differently. */
const TOLERANCE = 1.03;

test("no Check costs more than the newest table of the changelog says", () => {
  const stated = statedCosts();
  const measured = measure();
  expect([...measured.keys()].toSorted()).toEqual([...stated.keys()].toSorted());
  const more = [...stated].flatMap(([name, limit]) =>
    (["bytes", "promises", "storeRequests"] as const)
      .filter((what) => (measured.get(name)?.[what] ?? 0) > limit[what] * TOLERANCE + 0.01)
      .map((what) => `${name}: ${measured.get(name)?.[what]} ${what}, stated: ${limit[what]}`),
  );
  expect(more).toEqual([]);
});

function measure(): ReadonlyMap<string, Cost> {
  const { PATH, HOME } = process.env;
  const { stdout, stderr } = spawnSync("npm", ["run", "--silent", "bench:cost"], {
    encoding: "utf8",
    env: { PATH, HOME },
  });
  if (stderr !== "") throw new Error(stderr);
  return new Map(Object.entries(z.record(z.string(), figures).parse(JSON.parse(stdout))));
}

/** The rows `| case | bytes | promises | requests |` of the first table under this heading. */
function statedCosts(): ReadonlyMap<string, Cost> {
  const changelog = readFileSync("CHANGELOG.md", "utf8");
  const [, section = ""] = changelog.split("### Cost of a Check\n");
  const [table = ""] = /(?:^\|.*\n)+/m.exec(section) ?? [];
  const rows = table.trim().split("\n").slice(2);
  return new Map(
    rows.map((row) => {
      const [, name = "", ...numbers] = row.split("|").map((cell) => cell.trim());
      const [bytes, promises, storeRequests] = numbers.map((text) => Number(text.replaceAll(",", "")));
      return [name, figures.parse({ bytes, promises, storeRequests })];
    }),
  );
}
