import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { CHART_FILES } from "../../scripts/chart-files.ts";
import { SETTINGS } from "../../src/config/settings.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(`${ROOT}/${path}`, "utf8");
const chart = (path: string) => read(`deploy/helm/latchkey/${path}`);

test("the chart's copies equal their originals: otherwise run `npm run chart`", () => {
  const stale = Object.entries(CHART_FILES).filter(([copy, source]) => read(copy) !== read(source));
  expect(stale).toEqual([]);
});

test("the chart has Latchkey's version", () => {
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(read("package.json")));
  expect(parse(chart("Chart.yaml"))).toMatchObject({ version, appVersion: version });
});

test("the chart's schema rejects every secret among the plain settings", () => {
  const names = z.object({ not: z.object({ enum: z.array(z.string()) }) });
  const schema = z.object({
    properties: z.object({
      settings: z.object({ propertyNames: z.object({ allOf: z.tuple([z.unknown(), names, names]) }) }),
    }),
  });
  const [, secrets, decided] = schema.parse(JSON.parse(chart("values.schema.json"))).properties.settings
    .propertyNames.allOf;
  const wanted = Object.entries(SETTINGS).flatMap(([name, setting]) => ("secret" in setting ? [name] : []));
  expect(secrets.not.enum.sort()).toEqual(wanted.sort());
  expect(decided.not.enum.filter((name) => !Object.hasOwn(SETTINGS, name))).toEqual([]);
});
