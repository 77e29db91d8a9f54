import fc from "fast-check";
import type { Field, Text } from "./conversation.ts";
import { KEYS, plain } from "./conversation.ts";
import { flawedNames, flawedValues, longText, oddNames, values } from "./texts.ts";
import { COPIED_HEADERS } from "./variants.ts";

const field = (name: string, value: fc.Arbitrary<Text>): fc.Arbitrary<Field> =>
  value.map((text): Field => [plain(name), text]);

const pick = (...texts: readonly string[]) => fc.constantFrom(...texts).map(plain);

/** Mostly what a tracer understands, so that it copies what stands beside it; sometimes what it does not. */
const orOdd = (sound: fc.Arbitrary<Text>, maxBytes: number) =>
  fc.oneof({ weight: 3, arbitrary: sound }, { weight: 1, arbitrary: values(maxBytes) });

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const traceparents = pick(
  TRACEPARENT,
  TRACEPARENT,
  TRACEPARENT.replace(/01$/, "00"),
  TRACEPARENT.replace(/^00/, "cc"),
  `${TRACEPARENT}-more`,
  TRACEPARENT.toUpperCase(),
  `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
);

/** The context of a trace as the tracers of our listeners read and write it. */
function traceFields(maxBytes: number): fc.Arbitrary<readonly Field[]> {
  const loose = fc.oneof(
    { weight: 3, arbitrary: values(maxBytes) },
    { weight: 1, arbitrary: longText(maxBytes) },
  );
  const state = fc.oneof(
    {
      weight: 2,
      arbitrary: pick("vendor=1", "dd=s:2;o:rum;t.usr.id:abc,other=1", "49d0b4cb-1@dt=fw4;0;0;0;0;0;0;e"),
    },
    { weight: 4, arbitrary: loose },
  );
  const hex = "80f198ee56343ba864fe8b2a57d3eff7";
  const w3c = fc.tuple(field("traceparent", orOdd(traceparents, maxBytes)), field("tracestate", state));
  const b3 = fc.tuple(
    field("x-b3-traceid", orOdd(pick(hex, hex.slice(16)), maxBytes)),
    field("x-b3-spanid", orOdd(pick("e457b5a2e4d86bd1"), maxBytes)),
    field("x-b3-parentspanid", loose),
    field("x-b3-sampled", orOdd(pick("0", "1", "true", "d"), maxBytes)),
    field("x-b3-flags", orOdd(pick("1"), maxBytes)),
  );
  const b3Single = fc.tuple(field("b3", orOdd(pick(`${hex}-e457b5a2e4d86bd1-1`, "0", "d"), maxBytes)));
  const datadog = fc.tuple(
    field("x-datadog-trace-id", orOdd(pick("123", "18446744073709551615", "18446744073709551616"), maxBytes)),
    field("x-datadog-parent-id", orOdd(pick("456", "0"), maxBytes)),
    field("x-datadog-sampling-priority", orOdd(pick("2", "-1", "0"), maxBytes)),
    field("x-datadog-origin", loose),
    field(
      "x-datadog-tags",
      orOdd(pick("_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000", `_dd.p.x=${"y".repeat(500)}`), maxBytes),
    ),
  );
  const sw8 = "1-MQ==-Mg==-3-c2VydmljZQ==-aW5zdGFuY2U=-L2FwaQ==-aG9zdDo4MA==";
  const skyWalking = fc.tuple(
    field("sw8", orOdd(pick(sw8, sw8.replace("L2FwaQ==", "/w=="), `${sw8}-more`), maxBytes)),
    field("sw8-x", loose),
    field("sw8-correlation", loose),
  );
  const others = fc.tuple(
    fc
      .constantFrom(
        "baggage",
        "x-cloud-trace-context",
        "x-amzn-trace-id",
        "x-ot-span-context",
        "grpc-trace-bin",
        "uber-trace-id",
        "x-client-trace-id",
      )
      .chain((name) => field(name, loose)),
  );
  const groups: fc.Arbitrary<readonly Field[]>[] = [w3c, w3c, b3, b3Single, datadog, skyWalking, others];
  return fc.array(fc.oneof(...groups), { maxLength: 3 }).map((all) => all.flat());
}

/** What Envoy makes something of, or passes on in a way of its own. */
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

/** Those of which only some values are read. */
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

/** A field that Envoy refuses, or that is about the connection and belongs to HTTP/1 alone. */
export const flawedFields: fc.Arbitrary<Field> = fc.oneof(
  fc.constantFrom(...CONNECTION_FIELDS).map(([name, value]): Field => [plain(name), plain(value)]),
  fc.tuple(flawedNames, fc.constant(plain("v"))),
  fc.tuple(fc.constantFrom("x-v", ...KNOWN_NAMES).map(plain), flawedValues),
);

const knownField = (maxBytes: number) =>
  fc.constantFrom(...KNOWN_NAMES).chain((name) => {
    const sound = KNOWN_VALUES[name];
    // By HTTP/2 it has no other.
    if (name === "te") return field(name, pick("trailers"));
    return field(name, sound ? orOdd(pick(...sound), maxBytes) : values(maxBytes));
  });

const manyFields = (maxCount: number) =>
  fc
    .tuple(
      fc.integer({ min: 10, max: maxCount }),
      fc.constantFrom("x-n-", "n", "cookie", "x-tenant", "traceparent", "baggage"),
    )
    .map(([count, name]): Field[] =>
      Array.from({ length: count }, (_, index) => [
        plain(name.startsWith("x-n") || name === "n" ? `${name}${index}` : name),
        plain("v"),
      ]),
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

/** Invalid credentials, and a valid key in spellings of which some are valid. */
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
  return fc
    .tuple(
      fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 2, arbitrary: traceFields(maxBytes) }),
      credentials,
      fc.array(fc.oneof({ weight: 3, arbitrary: knownField(maxBytes) }, { weight: 1, arbitrary: odd }), {
        maxLength: 4,
      }),
      fc.oneof(
        { weight: 3, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: copied.map((one) => [one]) },
      ),
      fc.oneof({ weight: 20, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: manyFields(maxCount) }),
      fc.boolean(),
    )
    .map(([trace, keys, known, copies, many, isReversed]) => {
      const all = [...trace, ...keys, ...known, ...copies, ...many];
      return isReversed ? all.toReversed() : all;
    });
}
