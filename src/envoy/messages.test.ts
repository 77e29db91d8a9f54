import fc from "fast-check";
import { expect, test } from "vitest";
import type { AllowResponse, DenyResponse } from "./messages.ts";
import {
  APPEND_ACTION,
  decodeCheckRequest,
  decodeCheckResponse,
  encodeCheckRequest,
  encodeCheckResponse,
} from "./messages.ts";
import { toStruct } from "./struct.ts";

const http = (members: object): Buffer => encodeCheckRequest({ attributes: { request: { http: members } } });
const hostile = '{"__proto__":"p","constructor":"c","toString":"t","x":"1"}';

test("a CheckRequest comes back as it was sent, in names, numbers and bytes", () => {
  const socket = { protocol: 0, address: "10.0.0.1", resolver_name: "", ipv4_compat: false };
  const peer = { service: "s", labels: { zone: "a" }, principal: "spiffe://a/b", certificate: "" };
  const request = {
    attributes: {
      source: { ...peer, address: { socket_address: { ...socket, port_value: 4711 } } },
      destination: { ...peer, address: { pipe: { path: "/run/envoy", mode: 432 } } },
      request: {
        time: { seconds: "1893456000", nanos: 7 },
        http: {
          id: "7989526076807374258",
          method: "GET",
          headers: { "x-api-key": "k1,k2" },
          header_map: { headers: [{ key: "x", value: "", raw_value: Buffer.from([0xff, 0x00]) }] },
          path: "/v1/chat?a=b",
          host: "api.example:443",
          scheme: "https",
          query: "",
          fragment: "",
          size: "-1",
          protocol: "HTTP/2",
          body: "",
          raw_body: Buffer.alloc(0),
        },
      },
      context_extensions: { scope: "chat:read" },
      metadata_context: { filter_metadata: { ns: toStruct({ a: 1 }) }, typed_filter_metadata: {} },
      route_metadata_context: null,
      tls_session: { sni: "api.example" },
    },
  };
  expect(decodeCheckRequest(encodeCheckRequest(request))).toEqual(request);
});

test("an empty message has no attributes, and what is absent has its default", () => {
  expect(decodeCheckRequest(new Uint8Array(0))).toEqual({ attributes: null });
  const decoded = decodeCheckRequest(http({})).attributes;
  expect(decoded).toMatchObject({ source: null, tls_session: null, context_extensions: {} });
  expect(decoded?.request?.http).toMatchObject({ path: "", size: "0", headers: {}, header_map: null });
});

test("a client's header named __proto__ or constructor is an own entry and no prototype", () => {
  const headers = decodeCheckRequest(http({ headers: JSON.parse(hostile) })).attributes?.request?.http
    ?.headers;
  expect(Object.entries(headers ?? {})).toEqual([
    ["__proto__", "p"],
    ["constructor", "c"],
    ["toString", "t"],
    ["x", "1"],
  ]);
  expect(Object.getPrototypeOf(headers)).toBe(Object.prototype);
  expect(
    Object.hasOwn(decodeCheckRequest(http({})).attributes?.context_extensions ?? {}, "constructor"),
  ).toBe(false);
});

test("only the bytes of a view are read, not those around it", () => {
  const bytes = http({ path: "/a" });
  const around = new Uint8Array(bytes.length + 20).fill(0xff);
  around.set(bytes, 10);
  expect(decodeCheckRequest(around.subarray(10, 10 + bytes.length))).toEqual(decodeCheckRequest(bytes));
});

test.each([
  ["a tag that never ends", [0xff]],
  ["a length beyond the end", [0x0a, 0x7f]],
  ["a wire type that does not exist", [0x0f]],
  ["text", [...Buffer.from("GET / HTTP/1.1")]],
  ["a message cut in its middle", [...http({ path: "/v1/chat" }).subarray(0, -3)]],
])("bytes that are no message throw: %s", (_what, bytes) => {
  expect(() => decodeCheckRequest(Uint8Array.from(bytes))).toThrow();
});

test("nesting without end throws instead of ending the process", () => {
  let value: Uint8Array = Uint8Array.of(0x08, 0x00);
  for (let depth = 0; depth < 200; depth++) value = enclosed(0x32, enclosed(0x0a, value));
  const struct = enclosed(0x0a, enclosed(0x12, value));
  const attributes = enclosed(0x5a, enclosed(0x0a, enclosed(0x12, struct)));
  expect(() => decodeCheckRequest(enclosed(0x0a, attributes))).toThrow(/nesting depth/);
});

test("text that is not UTF-8, and fields that we do not know, do not throw", () => {
  const bytes = http({ path: "/abc" });
  bytes[bytes.length - 1] = 0xff;
  expect(decodeCheckRequest(bytes).attributes?.request?.http?.path).toBe("/ab\u{fffd}");
  expect(decodeCheckRequest(Uint8Array.of(0x78, 0x01))).toEqual({ attributes: null });
});

test("whatever the bytes are, decoding gives a request or throws an Error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        expect(decodeCheckRequest(bytes)).toHaveProperty("attributes");
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("an allow comes back as it was sent", () => {
  const option = (key: string, value: string) => ({
    header: { key, value },
    append: { value: false },
    append_action: APPEND_ACTION.OVERWRITE_IF_EXISTS_OR_ADD,
  });
  const allow: AllowResponse = {
    status: { code: 0 },
    ok_response: {
      headers: [option("x-latchkey-role", "basic"), option("x-latchkey-name", "")],
      headers_to_remove: ["authorization", "x_latchkey_role"],
      response_headers_to_add: [option("ratelimit", '"per-key";r=59;t=1')],
      query_parameters_to_set: [{ key: "a", value: "b" }],
      query_parameters_to_remove: ["api_key"],
    },
    dynamic_metadata: toStruct({ key_id: "basic_1_a", scopes: ["chat:read"], remaining: 59 }),
  };
  expect(decodeCheckResponse(encodeCheckResponse(allow))).toMatchObject(allow);
});

test("a denial comes back as it was sent, and its code is never that of an allow", () => {
  const denial: DenyResponse = {
    status: { code: 16, message: "credential_missing" },
    denied_response: {
      status: { code: 401 },
      headers: [{ header: { key: "www-authenticate", value: "Bearer" }, append_action: 2 }],
      body: "{}",
    },
  };
  const decoded = decodeCheckResponse(encodeCheckResponse(denial));
  expect(decoded).toMatchObject(denial);
  expect(decoded).not.toHaveProperty("ok_response");
  // @ts-expect-error a refusal with the code of an allow does not compile
  const open: DenyResponse = { ...denial, status: { code: 0 } };
  expect(open.status.code).toBe(0);
});

test("append: false is on the wire, although false is its default", () => {
  const bytes = encodeCheckResponse({
    status: { code: 0 },
    ok_response: { headers: [{ header: { key: "a", value: "b" }, append: { value: false } }] },
  });
  expect(bytes.includes(Buffer.from([0x12, 0x02, 0x08, 0x00]))).toBe(true);
});

/** A length-delimited field: tag, length as a varint, content. */
function enclosed(tag: number, content: Uint8Array): Uint8Array {
  const length: number[] = [];
  for (let rest = content.length; ; rest >>= 7) {
    if (rest < 0x80) {
      length.push(rest);
      break;
    }
    length.push((rest & 0x7f) | 0x80);
  }
  return Uint8Array.from([tag, ...length, ...content]);
}
