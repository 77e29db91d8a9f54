import { expect, test } from "vitest";
import { encodeCheckRequest, RATE_LIMIT_METHOD } from "../../../scripts/protobuf.ts";
import { decodeCheckRequest } from "../../ext-authz/check-request-decoder.ts";
import { encodeCheckResponse } from "../../ext-authz/check-response-encoder.ts";
import type { CheckResponse } from "../../ext-authz/messages.ts";
import { CHECK_PATH } from "../../ext-authz/method.ts";
import { loadReferenceCodecs } from "../../grpc/reference-codec.ts";
import { SHOULD_RATE_LIMIT_PATH } from "../../ratelimit/method.ts";
import { encodeRateLimitResponse } from "../../ratelimit/response-encoder.ts";
import { COMPARISONS, createCompareCall } from "./call-comparison.ts";
import { differingCheckRequest } from "./check-comparison.ts";

const codecs = loadReferenceCodecs();
const compareCall = createCompareCall(codecs);

const overwritten = (key: string, value: string) => ({ header: { key, value }, append: { value: false } });
const RESPONSE = {
  status: { code: 0 },
  ok_response: {
    headers: [overwritten("x-a", "1"), overwritten("x-b", "2")],
    headers_to_remove: ["authorization"],
  },
  dynamic_metadata: { fields: { decision_id: { stringValue: "d" } } },
} as const satisfies CheckResponse;
const MESSAGE = encodeCheckRequest({
  attributes: {
    source: { address: { socket_address: { address: "10.0.0.1" } } },
    request: { http: { method: "GET", path: "/a", host: "h", scheme: "https", headers: { a: "b" } } },
    context_extensions: { cost: "2" },
  },
});

const compare = (message: Uint8Array, response: Uint8Array, expected?: CheckResponse, path = CHECK_PATH) =>
  compareCall({
    path,
    message: new Uint8Array(message),
    response: new Uint8Array(response),
    ...(expected && { expected }),
  });

test("a Check that both codecs read and write alike is equal, in whatever order its lists are", () => {
  const { headers, headers_to_remove } = RESPONSE.ok_response;
  const other = { ...RESPONSE, ok_response: { headers: headers.toReversed(), headers_to_remove } };
  expect(compare(MESSAGE, encodeCheckResponse(RESPONSE), other)).toEqual({
    result: "equal",
    method: "Check",
    fields: [],
  });
});

test.each<[string, CheckResponse]>([
  ["status", { status: { code: 7 }, denied_response: { status: { code: 403 } } }],
  ["ok_response.headers", { ...RESPONSE, ok_response: { headers: [overwritten("x-a", "1")] } }],
  [
    "ok_response.headers_to_remove",
    { ...RESPONSE, ok_response: { ...RESPONSE.ok_response, headers_to_remove: [] } },
  ],
  ["dynamic_metadata", { ...RESPONSE, dynamic_metadata: { fields: {} } }],
])("bytes of another response differ in %s", (field, wrong) => {
  const { result, fields } = compare(MESSAGE, encodeCheckResponse(wrong), RESPONSE);
  expect(result).toBe("response_differs");
  expect(fields).toContain(field);
});

test("bytes that are no response differ", () => {
  expect(compare(MESSAGE, Buffer.from([0x0a, 0x7f]), RESPONSE)).toMatchObject({
    result: "response_differs",
    fields: ["message"],
  });
});

test.each<[string, (check: ReturnType<typeof decodeCheckRequest>) => object]>([
  ["peer_address", () => ({ peerAddress: "10.0.0.2" })],
  ["context_extensions", () => ({ extensions: new Map() })],
  ["path", ({ http }) => ({ http: { ...http, path: "/b" } })],
  ["headers", ({ http }) => ({ http: { ...http, headers: new Map([["a", ["c"]]]) } })],
])("a decoder that reads another %s is found", (field, change) => {
  const broken = createCompareCall(codecs, {
    ...COMPARISONS,
    [CHECK_PATH]: {
      request: (codec, message) =>
        differingCheckRequest(codec, message, (bytes) => {
          const check = decodeCheckRequest(bytes);
          return { ...check, ...change(check) };
        }),
      response: () => [],
    },
  });
  const call = { path: CHECK_PATH, message: new Uint8Array(MESSAGE), response: new Uint8Array(0) };
  expect(broken(call)).toEqual({ result: "request_differs", method: "Check", fields: [field] });
});

test("a message that both decoders reject is equal, and one that only the other decoder reads differs", () => {
  const response = encodeCheckResponse(RESPONSE);
  expect(compare(Buffer.from("GET / HTTP/1.1"), response).result).toBe("equal");
  // A group (deprecated), which our decoder does not read.
  expect(compare(Buffer.concat([MESSAGE, Buffer.of(0x7b, 0x7c)]), response)).toMatchObject({
    result: "request_differs",
    fields: ["message"],
  });
});

test.each([
  { domain: "d", descriptors: [{ entries: [{ key: "a", value: "b" }] }], hits_addend: 3 },
  {
    domain: "d",
    descriptors: [{ hits_addend: { value: "5" }, is_negative_hits: true }, { hits_addend: {} }],
  },
  { domain: "d", descriptors: Array.from({ length: 65 }, () => ({ entries: [] })) },
  {},
])("a call of the Rate Limit Service is equal", (request) => {
  const response = encodeRateLimitResponse("ok", []);
  const message = RATE_LIMIT_METHOD.requestSerialize(request);
  const expected = { result: "equal", method: "ShouldRateLimit", fields: [] };
  expect(compare(message, response, undefined, SHOULD_RATE_LIMIT_PATH)).toEqual(expected);
});

test("a response of the Rate Limit Service without a code differs", () => {
  const { result } = compare(Buffer.alloc(0), Buffer.alloc(0), undefined, SHOULD_RATE_LIMIT_PATH);
  expect(result).toBe("response_differs");
});

test("an exception of a comparison fails its call only", () => {
  const broken = {
    ...COMPARISONS,
    [CHECK_PATH]: {
      request: () => [],
      response() {
        throw new Error("broken");
      },
    },
  };
  const call = { path: CHECK_PATH, message: new Uint8Array(MESSAGE), response: new Uint8Array(0) };
  expect(createCompareCall(codecs, broken)(call)).toEqual({ result: "failed", method: "Check", fields: [] });
});
