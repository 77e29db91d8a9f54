import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { DENY_REASONS } from "../../src/core/decision/decision.ts";
import { createInstruments } from "../../src/telemetry/metrics/instruments.ts";
import { REDIS_FAULTS } from "../support/redis-faults.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const text = read("docs/operations/failure-modes.md");
const PARTS = ["**Callers see** ", "**Shown by** ", "**Check**\n\n1. "];

/** The entries of every part about faults, each with its heading first. */
const faults = text
  .slice(text.indexOf("\n## Faults\n"), text.indexOf("\n## The host\n"))
  .split("\n## ")
  .flatMap((part) => part.split("\n### ").slice(1));

test("each reason says what to check, in numbered steps", () => {
  const entryOf = (reason: string) => text.split(`### \`${reason}\``)[1]?.split("\n#")[0] ?? "";
  expect(DENY_REASONS.filter((reason) => !entryOf(reason).includes("**Check**\n\n1. "))).toEqual([]);
});

test("each fault that is tested has its entry, and each entry has effect, sign and numbered checks", () => {
  const missing = REDIS_FAULTS.filter(({ name }) => !faults.some((fault) => fault.startsWith(name)));
  expect(missing.map(({ name }) => name)).toEqual([]);
  expect(faults.length).toBeGreaterThan(REDIS_FAULTS.length);
  const incomplete = faults.filter((fault) => PARTS.some((part) => fault.split(part).length !== 2));
  expect(incomplete).toEqual([]);
});

test("the metrics that it names exist, and the log messages that it quotes are in the code", () => {
  const metrics = Object.values(createInstruments(new Registry())).map((metric) =>
    String(Object(metric).name),
  );
  const named = [...text.matchAll(/latchkey_[a-z_]+/g)].map(([name]) => name);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !metrics.includes(name))).toEqual([]);
  const words = read("src/telemetry/fault-messages.ts") + read("src/telemetry/outage-messages.ts");
  const quoted = [...text.matchAll(/(?<![*\w])\*([A-Za-z][^*]+)\*(?!\*)/g)].map(([, phrase = ""]) => phrase);
  expect(quoted.length).toBeGreaterThan(3);
  expect(quoted.filter((phrase) => !words.includes(phrase))).toEqual([]);
});

test("Latchkey's Redis user has every command that is sent, and none that is not", () => {
  const sources = readdirSync(join(root, "src/redis"), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(?:ts|lua)$/.test(name))
    .map((name) => read(`src/redis/${name}`))
    .join("\n");
  const allowed = [...read("deploy/redis/latchkey.acl").matchAll(/ \+([a-z]+)/g)].map(
    ([, name = ""]) => name,
  );
  // What the client says when it connects, and the script whose text it sends when its digest is not known.
  const spoken = ["select", "ping"];
  const isSent = (command: string) => new RegExp(`["']${command}["']`, "i").test(sources);
  expect(allowed.filter((command) => !isSent(command) && !spoken.includes(command))).toEqual([]);
  const called = [...sources.matchAll(/redis\.call\(\s*'(\w+)'/g)].map(([, name = ""]) => name.toLowerCase());
  expect(called.filter((command) => !allowed.includes(command))).toEqual([]);
});
