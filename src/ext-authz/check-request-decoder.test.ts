import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { CHECK_METHOD, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { asciiLowerCase } from "../core/field-text.ts";
import { field, numberField, textField, toBytes } from "../grpc/protobuf-writer.ts";
import { decodeCheckRequest } from "./check-request-decoder.ts";

const http = (members: object): Buffer => encodeCheckRequest({ attributes: { request: { http: members } } });

const line = z.object({ key: z.string(), value: z.string(), raw_value: z.instanceof(Buffer) });
const decoded = z.object({
  attributes: z
    .object({
      source: z
        .object({
          address: z.object({ socket_address: z.object({ address: z.string() }).optional() }).nullable(),
          certificate: z.string(),
        })
        .nullable(),
      request: z
        .object({
          http: z
            .object({
              method: z.string(),
              path: z.string(),
              host: z.string(),
              scheme: z.string(),
              headers: z.unknown(),
              header_map: z.object({ headers: z.array(line) }).nullable(),
            })
            .nullable(),
        })
        .nullable(),
      context_extensions: z.unknown(),
    })
    .nullable(),
});

/** With a map of the headers by name. */
function read(message: Uint8Array) {
  const check = decodeCheckRequest(message);
  const { http } = check;
  const names = [...(http?.headers.keys() ?? [])];
  const headers = new Map(names.map((name) => [name, http?.headers.get(name)]));
  return { ...check, http: http && { ...http, headers } };
}

/** The same by protobufjs, which decodes every field. */
function byProtobufjs(message: Buffer): ReturnType<typeof read> {
  const { attributes } = decoded.parse(CHECK_METHOD.requestDeserialize(message));
  const { source, request, context_extensions } = attributes ?? {};
  return {
    peerAddress: source?.address?.socket_address?.address ?? "",
    certificate: source?.certificate ?? "",
    extensions: mapOf(entriesOf(context_extensions)),
    http: request?.http == null ? undefined : { ...pick(request.http), headers: linesOf(request.http) },
  };
}

function mapOf(entries: [string, string][]): Map<string, string> | undefined {
  return entries.length === 0 ? undefined : new Map(entries);
}

/** zod would remove `__proto__`. */
function entriesOf(map: unknown): [string, string][] {
  return Object.entries(Object(map)).map(([key, value]) => [key, String(value)]);
}

const pick = ({ method, path, host, scheme }: Record<"method" | "path" | "host" | "scheme", string>) => ({
  method,
  path,
  host,
  scheme,
});

function linesOf(from: {
  readonly headers?: unknown;
  readonly header_map: { readonly headers: z.infer<typeof line>[] } | null;
}) {
  const lines = new Map<string, string[]>();
  const add = (key: string, value: string) => {
    const name = asciiLowerCase(key);
    lines.set(name, [...(lines.get(name) ?? []), value]);
  };
  for (const [key, value] of entriesOf(from.headers)) add(key, value);
  for (const { key, value, raw_value } of from.header_map?.headers ?? [])
    add(key, raw_value.length > 0 ? raw_value.toString("latin1") : value);
  return lines;
}

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constant("x".repeat(300)),
);
const name = fc.oneof(fc.constantFrom("__proto__", "constructor", "Authorization", "x-api-key", ""), text);
const bytes = fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array));
const map = fc.uniqueArray(fc.tuple(name, text), { selector: ([key]) => asciiLowerCase(key), maxLength: 5 });
const record = <T extends object>(members: T) => fc.record(members, { requiredKeys: [] });

/** Objects are created from entries, because an assignment to `__proto__` would set the prototype. */
const anyRequest = record({
  attributes: record({
    source: record({
      address: fc.oneof(
        record({
          socket_address: record({ protocol: fc.nat(1), address: text, port_value: fc.nat(65_535) }),
        }),
        record({ pipe: record({ path: text, mode: fc.nat() }) }),
      ),
      service: text,
      principal: text,
      certificate: text,
      labels: map.map(Object.fromEntries),
    }),
    destination: record({ service: text, address: record({ socket_address: record({ address: text }) }) }),
    request: record({
      time: record({ seconds: fc.nat().map(String), nanos: fc.nat(999_999_999) }),
      http: record({
        id: text,
        method: text,
        headers: map.map(Object.fromEntries),
        path: text,
        host: text,
        scheme: text,
        query: text,
        fragment: text,
        size: fc.constantFrom("-1", "0", "9223372036854775807"),
        protocol: text,
        body: text,
        raw_body: bytes,
        header_map: record({
          headers: fc.array(record({ key: name, value: text, raw_value: bytes }), { maxLength: 5 }),
        }),
      }),
    }),
    context_extensions: map.map(Object.fromEntries),
    tls_session: record({ sni: text }),
    metadata_context: fc.constant({
      filter_metadata: {
        a: { fields: { b: { listValue: { values: [{ numberValue: 1 }, { nullValue: 0 }] } } } },
      },
    }),
  }),
});

test("every CheckRequest is decoded as protobufjs decodes it", () => {
  fc.assert(
    fc.property(anyRequest, (request) => {
      const message = encodeCheckRequest(request);
      expect(read(message)).toEqual(byProtobufjs(message));
    }),
    { numRuns: 1500 },
  );
});

test("an empty message has empty fields", () => {
  const nothing = { peerAddress: "", certificate: "", extensions: undefined, http: undefined };
  expect(read(new Uint8Array(0))).toEqual(nothing);
  expect(read(http({})).http).toEqual({
    method: "",
    path: "",
    host: "",
    scheme: "",
    headers: new Map(),
  });
});

test("only the bytes of a view are read, not those around it", () => {
  const message = http({ path: "/a" });
  const around = new Uint8Array(message.length + 20).fill(0xff);
  around.set(message, 10);
  expect(read(around.subarray(10, 10 + message.length))).toEqual(read(message));
});

test("lines of one header stay separate, in any spelling and form", () => {
  const header_map = {
    headers: [
      { key: "X-Api-Key", value: "b" },
      { key: "x-api-key", raw_value: Buffer.from([0xff]) },
    ],
  };
  const { http: decoded } = read(http({ headers: { "x-api-key": "a" }, header_map }));
  expect(decoded?.headers).toEqual(new Map([["x-api-key", ["a", "b", "\u00ff"]]]));
});

test.each([
  ["the map of Envoy's default, which has joined the lines of a name", { headers: { "x-a": "b, c" } }, true],
  [
    "`encode_raw_headers`, which keeps the lines",
    { header_map: { headers: [{ key: "x-a", value: "b" }] } },
    false,
  ],
  ["no header", {}, false],
])("it is known whether lines were joined: %s", (_what, members, joined) => {
  expect(decodeCheckRequest(http(members)).http?.headers.joined).toBe(joined);
});

test("a header that a request does not have has no lines, and the names come in the order of the lines", () => {
  const header_map = { headers: ["b", "A", "b"].map((key) => ({ key, value: "" })) };
  const headers = decodeCheckRequest(http({ header_map })).http?.headers;
  expect(headers?.get("c")).toBeUndefined();
  expect([...(headers?.keys() ?? [])]).toEqual(["b", "a", "b"]);
});

test.each([
  ["an unterminated tag", [0xff]],
  ["a tag of more than 32 bits", [0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
  ["a length beyond the end", [0x0a, 0x7f]],
  ["a length beyond the end of the enclosing message", [0x0a, 0x02, 0x0a, 0x05, 0x0a, 0, 0, 0, 0]],
  ["a number that ends outside its message", [0x0a, 0x02, 0x78, 0x80, 0x01]],
  ["four bytes instead of eight", [0x79, 0, 0, 0, 0]],
  ["a group", [0x0b, 0x0c]],
  ["an unknown wire type", [0x0f]],
  ["a field without a number", [0x02, 0x00]],
  ["text", [...Buffer.from("GET / HTTP/1.1")]],
  ["a truncated message", [...http({ path: "/v1/chat" }).subarray(0, -3)]],
])("invalid bytes cause a RangeError: %s", (_what, message) => {
  expect(() => decodeCheckRequest(Uint8Array.from(message))).toThrow(RangeError);
});

test("invalid UTF-8, unknown fields, and known fields of another type do not throw", () => {
  const message = http({ path: "/abc" });
  message[message.length - 1] = 0xff;
  expect(decodeCheckRequest(message).http?.path).toBe("/ab\u{fffd}");
  expect(decodeCheckRequest(Uint8Array.of(0x78, 0x01, 0x08, 0x01, 0x7d, 0, 0, 0, 0)).http).toBeUndefined();
});

describe("fields that are not used are skipped, whatever they contain", () => {
  /** `attributes.source.address` with these fields. */
  const peer = (address: string) => toBytes(field(1, field(1, field(1, address))));
  /** `attributes.request.http.header_map` with these fields. */
  const headerMap = (fields: string) => toBytes(field(1, field(4, field(2, field(13, fields)))));

  test("a port whose bytes look like an address", () => {
    const socket = numberField(1, 1) + textField(2, "192.0.2.1") + numberField(3, 0x12) + textField(5, "x");
    expect(decodeCheckRequest(peer(field(1, socket))).peerAddress).toBe("192.0.2.1");
  });

  test("an address within Envoy, whose endpoint has the place of an IP address", () => {
    const internal = textField(1, "listener") + textField(2, "203.0.113.9");
    expect(decodeCheckRequest(peer(field(3, internal))).peerAddress).toBe("");
  });

  test("a field of the header map that looks like a header", () => {
    const header = (number: number, key: string) => field(number, textField(1, key) + textField(2, "1"));
    const { http: read } = decodeCheckRequest(headerMap(header(2, "x-other") + header(1, "x-a")));
    expect([...(read?.headers.keys() ?? [])]).toEqual(["x-a"]);
  });
});

test("a message in two pieces is merged", () => {
  const message = Buffer.concat([http({ method: "GET", path: "/a" }), http({ path: "/b", host: "h" })]);
  expect(decodeCheckRequest(message).http).toMatchObject({ method: "GET", path: "/b", host: "h" });
});

test("any bytes are a request or cause a RangeError", () => {
  const broken = fc.tuple(fc.uint8Array({ maxLength: 8 }), fc.nat(300)).map(([change, at]) => {
    const message = http({ method: "GET", path: "/v1/chat", headers: { a: "b" }, host: "h" });
    message.set(change.subarray(0, message.length - (at % message.length)), at % message.length);
    return message;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), broken), (message) => {
      try {
        expect(decodeCheckRequest(message)).toHaveProperty("http");
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { numRuns: 3000 },
  );
});
