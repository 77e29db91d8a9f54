import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { normalisePath } from "../core/decision/path.ts";
import { BUILT_IN_POLICY_FILE, parsePolicy } from "./file.ts";
import { loadPolicy } from "./load.ts";

function policyOf(routes: number): string {
  const entries = Array.from({ length: routes }, (_, at) => `  - { path: /v1/r${at}/**, scopes: [a] }\n`);
  return `roles:\n  basic: { scopes: [a], ttl: 1d, refresh_window: 1h }\nroutes:\n${entries.join("")}`;
}

test("a policy loaded by a thread equals the one parsed in place", async () => {
  for (const text of [readFileSync(BUILT_IN_POLICY_FILE, "utf8"), "", policyOf(1200), "roles: *x"]) {
    const source = { text, fileName: "p.yaml", ttlSeconds: new Map([["basic", 5]]), ownIssuer: "us" };
    const [loaded, parsed] = [await loadPolicy(source), parsePolicy(source)];
    if (!loaded.ok || !parsed.ok) {
      expect(loaded).toEqual(parsed);
      continue;
    }
    expect({ ...loaded.policy, routes: 0 }).toEqual({ ...parsed.policy, routes: 0 });
  }
});

test("every route of a loaded policy is found", async () => {
  const loaded = await loadPolicy({ text: policyOf(1200), fileName: "p.yaml" });
  if (!loaded.ok) throw new Error(loaded.problems.join("\n"));
  for (let at = 0; at < 1200; at++) {
    const path = normalisePath(`/v1/r${at}/x`, "reject");
    if (!path.ok) throw new Error(path.fault);
    const route = loaded.policy.routes.find({ path: path.value, host: "h", method: "GET" });
    expect(route?.pattern).toBe(`/v1/r${at}/**`);
  }
});

test("a file that takes too long is rejected, and the next file is loaded", async () => {
  // The parser searches the whole document for each alias.
  const text = `- &a [x]\n${"- *a\n".repeat(50_000)}`;
  const loaded = await loadPolicy({ text, fileName: "p.yaml" }, 500);
  expect(loaded).toEqual({
    ok: false,
    problems: ["p.yaml:1: the policy cannot be loaded: it takes longer than 500 ms"],
  });
  expect((await loadPolicy({ text: policyOf(1), fileName: "p.yaml" })).ok).toBe(true);
});

test("loading a policy blocks the main thread for less than a tenth of the work at a time, for any number of routes", async () => {
  const source = { text: policyOf(5000), fileName: "p.yaml" };
  const beginning = process.threadCpuUsage();
  parsePolicy(source);
  const whole = micros(process.threadCpuUsage(beginning));
  let isLoading = true;
  let longest = 0;
  let last = process.threadCpuUsage();
  const onTurn = () => {
    longest = Math.max(longest, micros(process.threadCpuUsage(last)));
    last = process.threadCpuUsage();
    if (isLoading) setImmediate(onTurn);
  };
  setImmediate(onTurn);
  expect((await loadPolicy(source)).ok).toBe(true);
  isLoading = false;
  expect(longest).toBeLessThan(whole / 10);
});

function micros({ user, system }: NodeJS.CpuUsage): number {
  return user + system;
}
