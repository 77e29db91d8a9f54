import fc from "fast-check";
import { MAX_FRAME_BYTES } from "../../src/http2/frames.ts";
import type { Body, Conversation, Field, Request, Text } from "./conversation.ts";
import { plain } from "./conversation.ts";
import { flawedFields, headerFields } from "./headers.ts";
import { flawedTargets, longText, mostly, oddNames, targets, values } from "./texts.ts";
import type { Variant } from "./variants.ts";
import { MAX_BODY_BYTES, VARIANTS } from "./variants.ts";

const METHODS = "GET GET POST POST HEAD OPTIONS PUT DELETE PATCH TRACE";
const methods = fc.constantFrom(...METHODS.split(" "));

/** One part of a request that Envoy rejects by itself, if it is as strict as we believe. */
const flaws: fc.Arbitrary<(request: Request) => Request> = fc.oneof(
  flawedFields.map((field) => (request: Request) => ({ ...request, fields: [...request.fields, field] })),
  flawedTargets.map((target) => (request: Request) => ({ ...request, target })),
  fc
    .constantFrom("CONNECT", "CONNECT", "PRI", "get", "X", "M-SEARCH", "LONG".repeat(50), "G T", "")
    .map((method) => (request: Request) => ({ ...request, method })),
  fc
    .constantFrom(undefined, "", "a b", "user@host", "a,b", "\xff")
    .map((authority) => (request: Request) => ({ ...request, authority })),
);

const trailerNames = fc.constantFrom("grpc-status", "x-trailer", "tracestate", "authorization").map(plain);
const trailer = fc
  .tuple(fc.oneof(oddNames, trailerNames), fc.oneof(values(200), longText(20_000)))
  .map(([name, value]): Field => [name, value]);

const bodies: fc.Arbitrary<Body> = fc.record({
  framing: fc.constantFrom("length", "length", "chunked", "chunked", "both", "none"),
  pieces: fc.array(
    fc.oneof(
      values(200),
      fc.constantFrom("\x00\x00\x00\x00\x05hello", "\x01\x00\x00\x00\x00", "{}", "\xff\xfe\x00").map(plain),
      fc
        .constantFrom(MAX_BODY_BYTES - 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 30_000)
        .map((size): Text => [["b", size]]),
    ),
    { maxLength: 3 },
  ),
  lie: mostly(12, fc.constant(0), fc.constantFrom(-1, 1, 100, 1e9)),
  trailers: mostly(3, fc.constant<Field[]>([]), fc.array(trailer, { maxLength: 3 })),
});

const grpcFields: readonly Field[] = [
  [plain("content-type"), plain("application/grpc")],
  [plain("te"), plain("trailers")],
];
const websocketFields: readonly Field[] = [
  [plain("connection"), plain("Upgrade")],
  [plain("upgrade"), plain("websocket")],
  [plain("sec-websocket-version"), plain("13")],
  [plain("sec-websocket-key"), plain("dGhlIHNhbXBsZSBub25jZQ==")],
];

const KIND_FIELDS = { http: [], grpc: grpcFields, websocket: websocketFields } as const;
const KIND_METHOD = { grpc: "POST", websocket: "GET" } as const;

function requests({ headersKb, headersCount }: Variant): fc.Arbitrary<Request> {
  const maxBytes = headersKb * 1024;
  return fc
    .record({
      method: methods,
      target: targets(maxBytes),
      authority: fc.constantFrom("api.example", "api.example", "A.EXAMPLE:80", "[::1]", "x".repeat(300)),
      fields: headerFields(maxBytes, headersCount),
      body: fc.option(bodies, { nil: undefined, freq: 2 }),
      flaw: mostly(9, fc.constant(undefined), flaws),
      kind: mostly(4, fc.constant("http" as const), fc.constantFrom("grpc" as const, "websocket" as const)),
    })
    .map(({ kind, flaw, ...request }): Request => {
      const fields = [...KIND_FIELDS[kind], ...request.fields];
      const sound = { ...request, fields, ...(kind !== "http" && { method: KIND_METHOD[kind] }) };
      return flaw ? flaw(sound) : sound;
    });
}

const endings: fc.Arbitrary<Conversation["ending"]> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ kind: "read" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("abort" as const),
      afterMs: fc.constantFrom(0, 0, 1, 2, 5),
      how: fc.constantFrom("close" as const, "reset" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("cut" as const),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
);

/** A listener that accepts 8 MB gets fewer requests than the ordinary ones. */
const listeners = fc.oneof(
  ...VARIANTS.map((variant) => ({
    weight: variant.headersKb > 1000 ? 1 : 4,
    arbitrary: fc.constant(variant),
  })),
);

const VERSIONS = ["1.0", "1.1", "1.1", "2", "2", "2"] as const;

/** The conversations of clients. */
const conversations: fc.Arbitrary<Conversation> = listeners.chain((variant) =>
  fc.record({
    listener: fc.constant(variant.name),
    from: fc.integer({ min: 2, max: 254 }),
    version: fc.constantFrom(...VERSIONS),
    requests: mostly(
      5,
      fc.tuple(requests(variant)),
      fc.array(requests(variant), { minLength: 1, maxLength: 4 }),
    ),
    copies: mostly(25, fc.constant(1), fc.integer({ min: 1, max: 40 })),
    ending: endings,
    frames: fc.record({
      block: mostly(4, fc.constant(MAX_FRAME_BYTES), fc.integer({ min: 1, max: 2000 })),
      padding: mostly(4, fc.constant(0), fc.integer({ min: 1, max: 255 })),
    }),
  }),
);

const MAX_BATCH = 100;
const batches = fc.array(conversations, { minLength: 1, maxLength: MAX_BATCH, size: "max" });

/** The concurrent conversations of clients; the same for the same seed. */
export function batchOf(seed: number): readonly Conversation[] {
  return fc.sample(batches, { seed, numRuns: 1 }).flat();
}
