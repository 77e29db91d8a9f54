import assert from "node:assert/strict";
import type { PathParams } from "../../../src/core/decision/path.ts";
import { normalisePath } from "../../../src/core/decision/path.ts";
import type { Target } from "../target.ts";

/** A path that is accepted is canonical: another parser reads it in the same way. */
function run(input: Buffer): void {
  const requestTarget = input.toString("latin1");
  for (const params of ["reject", "strip"] as const) expectCanonical(requestTarget, params);
}

function expectCanonical(requestTarget: string, params: PathParams): void {
  const result = normalisePath(requestTarget, params);
  if (!result.ok) return;
  const { path, segments, query } = result.value;
  const mark = requestTarget.indexOf("?");
  assert.equal(query, mark === -1 ? "" : requestTarget.slice(mark + 1), "the query is unchanged");
  assert.equal(path, `/${segments.join("/")}`, "the path is its segments");
  const again = normalisePath(path, "reject");
  assert.deepEqual(
    again,
    { ok: true, value: { path, segments, query: "" } },
    "a canonical path is its own form",
  );
  // The URL Standard repairs dot segments, backslashes and characters that are not encoded.
  assert.equal(new URL(`http://latchkey${path}`).pathname, path, "the URL Standard repairs nothing");
  assert.doesNotMatch(decodeURIComponent(path), /%[0-9A-Fa-f]{2}/, "a second decoding changes nothing");
  assert.ok(path.length <= 3 * requestTarget.length, "the length is bounded");
}

export const target: Target = {
  run,
  files: ["core/decision/path.ts"],
  maxBytes: 200,
  stepsPerByte: 60,
  runs: 60_000,
};
