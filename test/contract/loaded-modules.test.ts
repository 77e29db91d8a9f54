import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

test("an instance does not load Node's HTTP client, which takes 11 MB, before it calls an identity provider", () => {
  const serve = new URL("../../src/cli/serve/serve.ts", import.meta.url);
  const print = `
    await import(${JSON.stringify(serve)});
    console.log(JSON.stringify(process.moduleLoadList));
  `;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", print];
  const loaded: unknown = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
  expect(loaded).toContain("NativeModule http");
  expect(loaded).not.toContain("NativeModule internal/deps/undici/undici");
});
