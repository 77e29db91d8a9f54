import fc from "fast-check";
import type { Field } from "./conversation.ts";
import { KEYS, plain } from "./conversation.ts";
import { flawedNames, flawedValues, longText, mostly, oddNames, values } from "./texts.ts";
import { field, orOdd, pick, traceFields } from "./trace-headers.ts";
import { COPIED_HEADERS } from "./variants.ts";

/** Header fields that Envoy interprets or forwards in a special way. */
const KNOWN_NAMES = [
  "accept-encoding access-control-request-method alt-svc cache-control content-encoding content-type cookie date expect",
  "forwarded grpc-encoding grpc-timeout host http2-settings if-match max-forwards origin range referer te trailer via",
  "x-envoy-attempt-count x-envoy-auth-failure-mode-allowed x-envoy-auth-partial-body x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster x-envoy-downstream-service-node x-envoy-expected-rq-timeout-ms",
  "x-envoy-external-address x-envoy-force-trace x-envoy-hedge-on-per-try-timeout x-envoy-internal x-envoy-ip-tags",
  "x-envoy-max-retries x-envoy-original-path x-envoy-retry-on x-envoy-upstream-rq-timeout-ms x-forwarded-client-cert",
  "x-forwarded-for x-forwarded-host x-forwarded-proto x-latchkey-key-id x-latchkey-owner x-latchkey-role",
  "x-latchkey-scopes x-original-url x-request-id x_latchkey_role",
].flatMap((line) => line.split(" "));

/** Header fields of which only some values are interpreted. */
const KNOWN_VALUES: Readonly<Record<string, readonly string[]>> = {
  "content-type": ["application/grpc", "application/grpc+proto", "application/grpc-web", "application/json"],
  expect: ["100-continue"],
  "grpc-encoding": ["gzip", "identity"],
  "grpc-timeout": ["1n", "0S", "99999999H", "1S"],
  "x-forwarded-for": ["1.2.3.4", "1.2.3.4, 127.0.0.1", "::1", "unknown", "999.1.1.1"],
  "x-forwarded-proto": ["https", "http,https", "ftp"],
};

const CONNECTION_FIELDS: readonly (readonly [name: string, value: string])[] = [
  ["connection", "close"],
  ["connection", "authorization, x-forwarded-for"],
  ["connection", "te, upgrade"],
  ["keep-alive", "timeout=5"],
  ["proxy-connection", "keep-alive"],
  ["te", "trailers, gzip"],
  ["transfer-encoding", "chunked"],
  ["transfer-encoding", "gzip, chunked"],
  ["transfer-encoding", "identity"],
  ["content-length", "5"],
  ["content-length", "-1"],
  ["upgrade", "h2c"],
  ["upgrade", "CONNECT"],
  ["expect", "100-continue, x"],
];

/** A field that Envoy rejects, or a connection field that belongs to HTTP/1 only. */
export const flawedFields: fc.Arbitrary<Field> = fc.oneof(
  fc.constantFrom(...CONNECTION_FIELDS).map(([name, value]): Field => [plain(name), plain(value)]),
  fc.tuple(flawedNames, fc.constant(plain("v"))),
  fc.tuple(fc.constantFrom("x-v", ...KNOWN_NAMES).map(plain), flawedValues),
);

const knownField = (maxBytes: number) =>
  fc.constantFrom(...KNOWN_NAMES).chain((name) => {
    const sound = KNOWN_VALUES[name];
    // HTTP/2 allows no other value.
    if (name === "te") return field(name, pick("trailers"));
    return field(name, sound ? orOdd(pick(...sound), maxBytes) : values(maxBytes));
  });

/** Fields with different names, numbered at `#`, or with one name. */
const manyFields = (maxCount: number) =>
  fc
    .tuple(
      fc.integer({ min: 10, max: maxCount }),
      fc.constantFrom("x-n-#", "n#", "cookie", "x-tenant", "traceparent", "baggage"),
    )
    .map(([count, name]) =>
      Array.from({ length: count }, (_, index): Field => [plain(name.replace("#", `${index}`)), plain("v")]),
    );

const presentedKeys = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("{key}", "{key}", ...KEYS, "{key}=", "{key}.", "x{key}") },
  { weight: 3, arbitrary: fc.constantFrom("", "x", "lk1_abc", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.") },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff).map((number) => `imported-key-${number}`) },
);
const around = fc.constantFrom("", "", "", " ", "\t", "\u00a0", "\xef\xbb\xbf", ",", ", x", " x", ";");
const bearers = ["Bearer ", "Bearer ", "bearer ", "Bearer  ", "Bearer\t", "Bearer", "Bearer, Bearer "];
const schemes = fc.constantFrom(...bearers, "", "Basic ", "Digest ");
const presented = fc.tuple(around, presentedKeys, around).map((parts) => parts.join(""));
const credential = fc.oneof(
  fc.tuple(schemes, presented).map(([scheme, key]): Field => [plain("authorization"), plain(scheme + key)]),
  presented.map((key): Field => [plain("x-api-key"), plain(key)]),
  presented.map((key): Field => [plain("cookie"), plain(`a=b; sid=${key}`)]),
);

/** Invalid credentials, and spellings of a valid key, some of which are valid. */
const credentials: fc.Arbitrary<readonly Field[]> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Field[]>([]) },
  { weight: 4, arbitrary: credential.map((one) => [one]) },
  { weight: 1, arbitrary: credential.map((one) => [one, one]) },
  { weight: 1, arbitrary: fc.array(credential, { minLength: 2, maxLength: 4 }) },
);

/** All header fields of a request, in any order. */
export function headerFields(maxBytes: number, maxCount: number): fc.Arbitrary<readonly Field[]> {
  const copied = fc
    .constantFrom(...COPIED_HEADERS)
    .chain((name) => field(name, fc.oneof(values(maxBytes), longText(maxBytes))));
  const odd = fc.tuple(oddNames, values(maxBytes)).map(([name, value]): Field => [name, value]);
  const none = fc.constant<Field[]>([]);
  return fc
    .tuple(
      fc.oneof(none, traceFields(maxBytes), traceFields(maxBytes)),
      credentials,
      fc.array(mostly(3, knownField(maxBytes), odd), { maxLength: 4 }),
      mostly(3, none, fc.tuple(copied)),
      mostly(20, none, manyFields(maxCount)),
      fc.boolean(),
    )
    .map(([trace, keys, known, copies, many, isReversed]) => {
      const all = [...trace, ...keys, ...known, ...copies, ...many];
      return isReversed ? all.toReversed() : all;
    });
}
