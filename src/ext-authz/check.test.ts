import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { PLAIN_ROUTE } from "../../test/support/route.ts";
import type { Allow, Decision } from "../core/decision/decision.ts";
import { deny } from "../core/decision/decision.ts";
import { parsePolicy } from "../policy/file.ts";
import type { CheckPorts } from "./check.ts";
import { createCheck, MAX_PENDING_CHECKS } from "./check.ts";

const parsed = parsePolicy({ text: "", fileName: "built in" });
if (!parsed.ok) throw new Error("the built-in policy");
const { policy } = parsed;

const route = { ...PLAIN_ROUTE, label: "/a", pattern: "/a", public: true };
const allowed: Allow = {
  verdict: "allow",
  reason: "allowed",
  route,
  scopes: [],
  rates: [],
  refreshDue: false,
};

/** Every way in which a part can go. */
type Behaviour = "well" | "throws" | "rejects" | "never" | "late" | "denies" | "empty";

interface Script {
  readonly policy: Behaviour;
  readonly newDecisionId: Behaviour;
  readonly monotonicNs: Behaviour;
  readonly nowMs: Behaviour;
  readonly authorize: Behaviour;
  readonly async: boolean;
  readonly decided: Behaviour;
  readonly faulted: Behaviour;
  readonly onUndecodable: Behaviour;
}

const fine: Script = {
  policy: "well",
  newDecisionId: "well",
  monotonicNs: "well",
  nowMs: "well",
  authorize: "well",
  async: false,
  decided: "well",
  faulted: "well",
  onUndecodable: "well",
};

function portsOf(script: Script): CheckPorts {
  const orThrow = <T>(behaviour: Behaviour, value: T): T => {
    if (behaviour === "throws") throw new Error("broken on purpose");
    return value;
  };
  return {
    policy: () => orThrow(script.policy, policy),
    newDecisionId: () => orThrow(script.newDecisionId, "decision"),
    monotonicNs: () => orThrow(script.monotonicNs, 5n),
    nowMs: () => orThrow(script.nowMs, 1000),
    authorize: () => {
      const decision: Decision = script.authorize === "denies" ? deny("scope_missing") : allowed;
      switch (script.authorize) {
        case "throws":
          throw new Error("broken on purpose");
        case "rejects":
          return Promise.reject(new Error("broken on purpose"));
        case "never":
          return new Promise(() => undefined);
        case "late":
          return new Promise((resolve) => setTimeout(() => resolve(allowed), 60));
        case "empty":
          // What a buggy port could give although its type forbids it.
          return Promise.resolve(JSON.parse("null"));
        default:
          return script.async ? Promise.resolve(decision) : decision;
      }
    },
    onDecision: () => orThrow(script.decided, undefined),
    onFault: () => orThrow(script.faulted, undefined),
    onUndecodable: () => orThrow(script.onUndecodable, undefined),
  };
}

const goodRequest = encodeCheckRequest({
  attributes: {
    request: { http: { method: "GET", path: "/a", host: "x", scheme: "https", headers: { "x-a": "b" } } },
  },
});

async function statusCode(script: Script, message: Uint8Array | undefined, timeLeftMs = 50): Promise<number> {
  const bytes = await createCheck(portsOf(script))(message, timeLeftMs);
  const response = decodeCheckResponse(bytes);
  if (response.status.code !== 0)
    expect("denied_response" in response && response.denied_response).toBeTruthy();
  return response.status.code;
}

describe("every exit of the handler is an answer that was meant", () => {
  test("all well: an allow is code 0, a denial is not", async () => {
    expect(await statusCode(fine, goodRequest)).toBe(0);
    expect(await statusCode({ ...fine, authorize: "denies" }, goodRequest)).toBe(7);
    expect(await statusCode({ ...fine, async: true }, goodRequest)).toBe(0);
  });

  test.each([
    ["a message that could not be taken in", undefined],
    ["an empty message", new Uint8Array()],
    ["no http", encodeCheckRequest({ attributes: {} })],
    ["no method", encodeCheckRequest({ attributes: { request: { http: { path: "/a" } } } })],
    ["no path", encodeCheckRequest({ attributes: { request: { http: { method: "GET" } } } })],
    ["bytes that are no message", Uint8Array.of(0xff, 0xff, 0xff)],
    ["a cut-off message", goodRequest.subarray(0, goodRequest.length - 3)],
  ])("%s is a denial, though everything would be allowed", async (_what, message) => {
    expect(await statusCode(fine, message)).not.toBe(0);
  });

  test("a verdict that comes too late, or never, or is none, is a denial", async () => {
    for (const authorize of ["late", "never", "empty"] as const) {
      expect(await statusCode({ ...fine, authorize }, goodRequest, 30)).not.toBe(0);
    }
  });

  test("whatever throws, rejects, hangs or is broken, code 0 is only sent with an allow in time", async () => {
    const behaviour = fc.constantFrom<Behaviour>("well", "well", "well", "throws");
    const script = fc.record({
      policy: behaviour,
      newDecisionId: behaviour,
      monotonicNs: behaviour,
      nowMs: behaviour,
      authorize: fc.constantFrom<Behaviour>(
        "well",
        "well",
        "throws",
        "rejects",
        "never",
        "late",
        "denies",
        "empty",
      ),
      async: fc.boolean(),
      decided: behaviour,
      faulted: behaviour,
      onUndecodable: behaviour,
    });
    const message = fc.oneof(
      { weight: 3, arbitrary: fc.constant(goodRequest) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
      {
        weight: 2,
        arbitrary: fc
          .tuple(fc.nat({ max: goodRequest.length - 1 }), fc.nat({ max: 255 }))
          .map(([at, byte]) => {
            const mutated = Uint8Array.from(goodRequest);
            mutated[at] = byte;
            return mutated;
          }),
      },
    );
    await fc.assert(
      fc.asyncProperty(script, message, async (behaviours, bytes) => {
        const code = await statusCode(behaviours, bytes, 25);
        const parts = [
          behaviours.policy,
          behaviours.newDecisionId,
          behaviours.monotonicNs,
          behaviours.nowMs,
          behaviours.decided,
        ];
        const meant = behaviours.authorize === "well" && parts.every((part) => part === "well");
        if (code === 0) expect(meant).toBe(true);
        if (meant && bytes === goodRequest) expect(code).toBe(0);
      }),
      { numRuns: 400 },
    );
  });
});

test.each([
  ["bytes that are not a message", Uint8Array.of(0xff, 0xff, 0xff)],
  ["a message that is cut off", goodRequest.subarray(0, goodRequest.length - 3)],
])("%s: request_malformed, which is not a fault of ours", async (_what, message) => {
  const seen: unknown[] = [];
  const check = createCheck({
    ...portsOf(fine),
    onDecision: ({ reason }) => seen.push(reason),
    onFault: (error) => seen.push(error),
    onUndecodable: (why) => seen.push(why.name),
  });
  const response = decodeCheckResponse(await check(message, 50));
  expect(response.status.code).toBe(3);
  expect(seen).toEqual(["RangeError", "request_malformed"]);
});

test("Checks that wait for the store are counted, though their streams are reset: too many are denied, until some settle", async () => {
  const waiting: ((decision: Decision) => void)[] = [];
  let authorized = 0;
  const check = createCheck({
    ...portsOf(fine),
    authorize: () => {
      authorized++;
      return new Promise((resolve) => waiting.push(resolve));
    },
  });
  const answers = Array.from({ length: MAX_PENDING_CHECKS }, () => check(goodRequest, 10_000));
  const denied = decodeCheckResponse(await check(goodRequest, 10_000));
  expect(denied).toMatchObject({ status: { code: 14 }, denied_response: { status: { code: 503 } } });
  expect(authorized).toBe(MAX_PENDING_CHECKS);
  for (const resolve of waiting.splice(0)) resolve(allowed);
  await Promise.all(answers);
  const next = check(goodRequest, 10_000);
  for (const resolve of waiting) resolve(allowed);
  expect(decodeCheckResponse(await next).status.code).toBe(0);
});
