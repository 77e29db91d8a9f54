import fc from "fast-check";
import type { LoadLimits } from "../../../src/http2/connection-state.ts";
import type { Answer, Plan } from "./state.ts";
import type { Bounds } from "./world.ts";

const CLIENTS = 3;

/** Either limits may be out of reach, so that a run goes on, or near, so that they are reached. */
export const bounds = fc.record<Bounds>({
  clients: fc.constant(CLIENTS),
  maxStreams: fc.constantFrom(1, 2, 6),
  limits: fc.record<LoadLimits>({
    buffered: fc.constantFrom(
      { process: 200_000, connection: 100_000 },
      { process: 12_000, connection: 9000 },
    ),
    pending: fc.constantFrom(
      { process: 600_000, connection: 400_000 },
      { process: 60_000, connection: 50_000 },
    ),
    unsent: fc.constantFrom(
      { process: 400_000, connection: 100_000 },
      { process: 40_000, connection: 20_000 },
    ),
    incompleteRequests: fc.constantFrom(2, 4, 20),
  }),
});

const client = fc.nat({ max: CLIENTS - 1 });
const at = fc.nat({ max: 1000 });
const rarely = fc.nat({ max: 9 }).map((number) => number === 0);
/** With 255 bytes of padding, the largest fits into a frame. */
const bytes = fc.constantFrom(0, 1, 5, 300, 4000, 9000, 16_128, 16_128);
const answer = fc.record<Answer>({
  form: fc.constantFrom<Answer["form"][]>("unary", "unary", "pieces", "pieces", "head only", "reset"),
  bytes: fc.constantFrom(0, 1, 300, 16_379, 16_384, 40_000, 70_000, 200_000),
});
const plan = fc.record<Plan>({
  receives: fc.constantFrom("whole body", "pieces", "nothing"),
  responds: fc.constantFrom("at its head", "at its end", "at its end", "later"),
  response: answer,
});

const open = fc.record({
  kind: fc.constant("open" as const),
  client,
  plan,
  block: fc.constantFrom(
    "head" as const,
    "head",
    "strict head",
    "strict head",
    "malformed head",
    "malformed strict head",
  ),
  isEnd: rarely,
  length: fc.option(fc.constantFrom(0, 5, 4000), { nil: undefined }),
});
const data = fc.record({
  kind: fc.constant("data" as const),
  client,
  at,
  bytes,
  times: fc.constantFrom(1, 1, 2, 6),
  padding: fc.option(fc.constantFrom(0, 255), { nil: undefined, freq: 3 }),
  isEnd: fc.nat({ max: 2 }).map((number) => number === 0),
});
const trailers = fc.record({
  kind: fc.constant("trailers" as const),
  client,
  at,
  isHead: rarely,
  isEnd: rarely.map((not) => !not),
});
const reset = fc.record({ kind: fc.constant("reset" as const), client, at });
const widen = fc.record({
  kind: fc.constant("widen" as const),
  client,
  at,
  isConnection: fc.boolean(),
  bytes: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(1, 7, 500, 20_000, 100_000, 1_000_000) },
    { weight: 1, arbitrary: fc.constantFrom(0, 2 ** 31 - 1) },
  ),
});
const initialWindow = fc.record({
  kind: fc.constant("initial window" as const),
  client,
  window: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(undefined, 0, 1, 500, 20_000, 65_535, 500_000) },
    { weight: 1, arbitrary: fc.constantFrom(2 ** 31 - 1, 2 ** 31) },
  ),
});
/** Frames that arrive in one packet. */
const together = fc.record({
  kind: fc.constant("together" as const),
  client,
  changes: fc.array(fc.oneof(widen, widen, initialWindow, reset), { minLength: 2, maxLength: 5 }),
});
const handler = fc.oneof(
  fc.record({ kind: fc.constant("respond" as const), client, at, answer }),
  fc.record({ kind: fc.constant("consume" as const), client, at }),
);
const other = fc.oneof(
  fc.record({ kind: fc.constantFrom("acknowledgement" as const, "goaway" as const), client }),
  fc.record({ kind: fc.constantFrom("drain" as const, "stop reading" as const, "read" as const), client }),
  fc.record({ kind: fc.constant("priority" as const), client, at }),
);
const advance = fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(100, 1000, 6000) });
const burst = fc.record({
  kind: fc.constant("burst" as const),
  client,
  at,
  of: fc.constantFrom("settings" as const, "settings", "late data", "malformed heads"),
});
/** What clients, handlers and time do, in any order. */
export const commands = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: open },
    { weight: 12, arbitrary: data },
    { weight: 3, arbitrary: trailers },
    { weight: 3, arbitrary: reset },
    { weight: 8, arbitrary: widen },
    { weight: 3, arbitrary: initialWindow },
    { weight: 4, arbitrary: together },
    { weight: 12, arbitrary: handler },
    { weight: 5, arbitrary: other },
    { weight: 2, arbitrary: advance },
    { weight: 1, arbitrary: burst },
  ),
  { minLength: 5, maxLength: 80, size: "max" },
);

export type Command = typeof commands extends fc.Arbitrary<readonly (infer T)[]> ? T : never;
