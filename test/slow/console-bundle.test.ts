import { brotliCompressSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import type { BundledFile } from "../../src/api/console/bundle.ts";
import { bundleConsole } from "../../src/api/console/bundle.ts";

const MAX_BYTES = 150 * 1024;

let files: readonly BundledFile[];
beforeAll(async () => {
  files = await bundleConsole();
});

test("the bundle has at most 150 KB, compressed", () => {
  const bytes = files
    .map((file) => brotliCompressSync(file.bytes).length)
    .reduce((sum, size) => sum + size, 0);
  expect(bytes).toBeLessThanOrEqual(MAX_BYTES);
});

test("each page has a script and a style sheet, and shares the rest; the names of the files follow their content", async () => {
  const names = files.map(({ name }) => name).sort();
  for (const name of names) expect(name).toMatch(/^[a-z]+-[A-Z0-9]{8}\.(?:js|css)$/);
  expect((await bundleConsole()).map(({ name }) => name).sort()).toEqual(names);
});

test("the scripts neither evaluate text, nor load anything from another origin", () => {
  const text = files.map(({ bytes }) => Buffer.from(bytes).toString("utf8")).join("\n");
  expect(text).not.toMatch(/\beval\(|new Function\(|document\.write|insertAdjacentHTML|sourceMappingURL/);
  const urls = new Set(text.match(/https?:\/\/[\w.-]+/g));
  // The names of XML namespaces, and the example in a message about a URL.
  const named = ["http://www.w3.org", "http://127.0.0.1"];
  expect([...urls].filter((url) => !named.includes(url))).toEqual([]);
});

test("each script has the notices that the licences of its packages ask for", () => {
  const scripts = files.filter(({ name }) => name.endsWith(".js"));
  expect(scripts.length).toBeGreaterThan(2);
  for (const { bytes } of scripts) {
    const text = Buffer.from(bytes).toString("utf8");
    for (const holder of ["Jason Miller", "Leon Sorokin"]) expect(text).toContain(holder);
    expect(text.match(/Permission is hereby granted/g)).toHaveLength(2);
  }
});
