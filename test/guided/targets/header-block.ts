import assert from "node:assert/strict";
import { CompressionError, createHpackDecoder } from "../../../src/http2/hpack.ts";
import type { HeaderValidator } from "../../../src/http2/request-head.ts";
import {
  addField,
  createHeaderValidator,
  createSingleFields,
  finishHead,
  hasPseudoField,
  resetValidator,
  trailersFault,
} from "../../../src/http2/request-head.ts";
import type { Target } from "../target.ts";

const MAX_BYTES = 300;
const SINGLE_FIELDS = createSingleFields(["content-type", "grpc-encoding", "grpc-timeout"]);
/** What RFC 9113 §8.2.1 forbids in the fields that the server reads. */
const FORBIDDEN = /[\0\r\n]|^[ \t]|[ \t]$/;

/**
 * The input is two header blocks, the first of which has a length. A head does not depend on the request before it. A valid one has one
 * value for each field that the server reads, all of which are in the block.
 */
function run(input: Buffer): void {
  const length = input[0] ?? 0;
  const [first, second] = [input.subarray(1, 1 + length), input.subarray(1 + length)];
  const reused = newValidator();
  headOf(reused, first);
  resetValidator(reused);
  const [again, fresh] = [headOf(reused, second), headOf(newValidator(), second)];
  assert.deepEqual(again, fresh, "a head has nothing of the request before it");
  if (fresh === undefined || fresh.fault !== undefined) return;
  expectSingleValues(fresh);
}

interface Head {
  readonly fields: readonly (readonly [name: string, value: string, bytes: number])[];
  readonly fault: string | undefined;
  readonly trailersFault: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly contentLength: number | undefined;
  readonly single: readonly (string | undefined)[];
}

function newValidator(): HeaderValidator {
  return createHeaderValidator(MAX_BYTES, SINGLE_FIELDS);
}

/** Undefined if the block is not HPACK. */
function headOf(validator: HeaderValidator, block: Buffer): Head | undefined {
  const fields: [string, string, number][] = [];
  try {
    createHpackDecoder().decode(block, (name, value, bytes) => {
      fields.push([name, value, bytes]);
      addField(validator, name, value, bytes);
    });
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error;
    return undefined;
  }
  const asTrailers = trailersFault(validator);
  assert.ok(asTrailers !== undefined || !hasPseudoField(validator), "trailers have no pseudo-header fields");
  const { method, path, contentLength, fault, fields: single } = finishHead(validator);
  return { fields, fault, trailersFault: asTrailers, method, path, contentLength, single: [...single] };
}

function expectSingleValues({ fields, method, path, contentLength, single }: Head): void {
  const valuesOf = (name: string) => fields.filter((field) => field[0] === name).map(([, value]) => value);
  assert.deepEqual(valuesOf(":method"), [method]);
  assert.deepEqual(valuesOf(":path"), [path]);
  assert.equal(valuesOf(":scheme").length, 1);
  assert.deepEqual(
    valuesOf("content-length").map(Number),
    contentLength === undefined ? [] : [contentLength],
  );
  const names = ["content-type", "grpc-encoding", "grpc-timeout"];
  for (const [index, name] of names.entries())
    assert.deepEqual(valuesOf(name), single[index] === undefined ? [] : [single[index]], name);
  for (const [name, value] of fields) {
    assert.match(name, /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/, "names are lower-case tokens");
    if (SINGLE_FIELDS.has(name)) assert.doesNotMatch(value, FORBIDDEN);
  }
  const size = fields.reduce((sum, [name, , bytes]) => sum + name.length + bytes + 32, 0);
  assert.ok(size <= MAX_BYTES, "the size is that of RFC 9113 §6.5.2");
  const firstRegular = fields.findIndex(([name]) => !name.startsWith(":"));
  const after = firstRegular === -1 ? [] : fields.slice(firstRegular);
  assert.ok(!after.some(([name]) => name.startsWith(":")), "pseudo-header fields come first");
}

export const target: Target = {
  run,
  files: ["http2/request-head.ts"],
  maxBytes: 400,
  stepsPerByte: 300,
  runs: 30_000,
};
