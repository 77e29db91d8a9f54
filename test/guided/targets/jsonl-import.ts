import assert from "node:assert/strict";
import { parseDocument } from "yaml";
import { decodeBody, InvalidBody, parseForm, parseStrictJson } from "../../../src/api/http/json-body.ts";
import { parseImportLine } from "../../../src/api/legacy/import-line.ts";
import type { LegacyEntry } from "../../../src/core/legacy/import-entry.ts";
import type { Target } from "../target.ts";

/**
 * An entry has one key or one hash, and its own line gives it again. A rejection never contains the key. Strict JSON is JSON without
 * duplicates, and a form that is accepted means the same to the URL Standard.
 */
function run(input: Buffer): void {
  const line = input.toString("utf8");
  expectStrict(line);
  const form = bodyOf(() => parseForm(line));
  if (form !== undefined) assert.deepEqual(Object.fromEntries(new URLSearchParams(`?${line}`)), form);
  const text = bodyOf(() => decodeBody(input));
  if (text !== undefined) assert.deepEqual(Buffer.from(text), input);
  const parsed = parseImportLine(line, 1);
  if (typeof parsed === "string") {
    assert.ok(parsed !== "" && !parsed.includes("\n"));
    for (const key of possibleKeys(line)) assert.ok(!parsed.includes(key), "a rejection has no key");
    return;
  }
  assert.notEqual(parsed.key === undefined, parsed.sha256Hex === undefined, "a key or a hash");
  assert.deepEqual(parseImportLine(lineOf(parsed), 1), parsed);
}

/** Undefined for an invalid body. */
function bodyOf<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    assert.ok(error instanceof InvalidBody, String(error));
    return undefined;
  }
}

function expectStrict(text: string): void {
  const strict = parseStrictJson(text);
  if (!strict.ok) return;
  assert.deepEqual(strict.value, JSON.parse(text));
  // JSON is YAML, and this parser reports duplicates.
  const codes = parseDocument(text, { logLevel: "silent" }).errors.map(({ code }) => code);
  assert.ok(!codes.includes("DUPLICATE_KEY"), "no duplicate is accepted");
  assert.deepEqual(parseStrictJson(JSON.stringify(strict.value)), strict);
}

/** The key, and names of members that may be one, in a line that has the form of a map. */
function possibleKeys(line: string): string[] {
  try {
    const object = Object(JSON.parse(line));
    const texts = [object.api_key, ...Object.keys(object).filter((name) => /[^a-z_]/.test(name))];
    return texts.filter((text) => typeof text === "string" && text.length >= 8);
  } catch {
    return [];
  }
}

function lineOf({ key, sha256Hex, name, role, owner, createdAt, expiresAt }: LegacyEntry): string {
  const iso = (seconds: number | undefined) => seconds && new Date(seconds * 1000).toISOString();
  const [created_at, expires_at] = [iso(createdAt), iso(expiresAt)];
  return JSON.stringify({ api_key: key, api_key_hash: sha256Hex, name, role, owner, created_at, expires_at });
}

export const target: Target = {
  run,
  files: ["api/legacy/import-line.ts", "api/http/json-body.ts"],
  maxBytes: 300,
  stepsPerByte: 100,
  runs: 15_000,
};
