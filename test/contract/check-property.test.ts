import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { normalisePath } from "../../src/core/decision/path.ts";
import { realCheck } from "../support/real-check.ts";

const odd = fc.constantFrom(
  "constructor",
  "__proto__",
  "authorization",
  "x-api-key",
  "cookie",
  "Content-Type",
  "",
);
const value = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom("Bearer a.b.c", "Bearer ", "sid=x; sid=y", "application/grpc", ",", "Bearer a,Bearer b"),
);
const headers = fc.dictionary(fc.oneof(odd, fc.string({ maxLength: 12 })), value, { maxKeys: 6 });
const path = fc.oneof(
  fc.webPath(),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc
    .array(fc.constantFrom("public", "notes", "..", "%2e%2e", "%2f", "", ";x", "*", "?", "#", "hosted"), {
      maxLength: 5,
    })
    .map((parts) => `/${parts.join("/")}`),
);
const http = fc.record({
  method: fc.constantFrom("GET", "POST", "get", "OPTIONS", "CONNECT", ""),
  path,
  host: fc.oneof(fc.constantFrom("a.example.com", "A.EXAMPLE.COM:1", "", "."), fc.string({ maxLength: 20 })),
  scheme: fc.constantFrom("http", "https", ""),
  headers,
  header_map: fc.option(
    fc.record({
      headers: fc.array(
        fc.record({
          key: fc.oneof(odd, fc.string({ maxLength: 12 })),
          raw_value: fc.uint8Array({ maxLength: 60 }),
        }),
        { maxLength: 6 },
      ),
    }),
  ),
});
const checkRequest = fc.record({
  attributes: fc.option(
    fc.record({
      source: fc.option(
        fc.record({ address: fc.option(fc.record({ socket_address: fc.record({ address: fc.string() }) })) }),
      ),
      request: fc.option(fc.record({ http: fc.option(http) })),
      context_extensions: fc.dictionary(
        fc.constantFrom("scopes", "cost", "__proto__", "x"),
        fc.string({ maxLength: 8 }),
      ),
    }),
  ),
});

test("without a key only a normalised public path is allowed, and no CheckRequest causes a fault", async () => {
  const { check, faults, policy } = await realCheck();
  await fc.assert(
    fc.asyncProperty(checkRequest, async (request) => {
      const { status } = decodeCheckResponse(await check(encodeCheckRequest(request), 1000));
      if (status.code !== 0) return;
      const described = request.attributes?.request?.http;
      const normal = normalisePath(described?.path ?? "", "reject");
      expect(
        normal.ok &&
          policy.routes.find({ path: normal.value, host: "", method: described?.method ?? "" })?.public,
      ).toBe(true);
    }),
    { numRuns: 2000 },
  );
  expect(faults).toEqual([]);
});

test("bytes that are not a CheckRequest are denied", async () => {
  const { check } = await realCheck();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      expect(decodeCheckResponse(await check(bytes, 1000)).status.code).not.toBe(0);
    }),
    { numRuns: 1000 },
  );
});
