import { expect, test } from "vitest";
import { createAssets } from "./assets.ts";

test("from sources, production does not bundle the console", async () => {
  expect(await createAssets({ development: false })()).toBeUndefined();
});

test("in development the files have each encoding, and are prepared once", async () => {
  const assets = createAssets({ development: true });
  const [files, again] = await Promise.all([assets(), assets()]);
  expect(again).toBe(files);
  const [script] = [...(files ?? [])].filter(([name]) => name.endsWith(".js"));
  expect(script?.[1].type).toBe("text/javascript; charset=utf-8");
  const sizes = Object.values(script?.[1].encodings ?? {}).map((bytes) => bytes.length);
  expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
});
