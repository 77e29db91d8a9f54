import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import { PRINCIPAL, PUBLIC_ALLOW } from "../../test/support/responses.ts";
import { PLAIN_ROUTE } from "../../test/support/route.ts";
import type { Allow, Decision } from "../core/decision/decision.ts";
import { deny } from "../core/decision/decision.ts";
import type { CheckOptions } from "./check.ts";
import { createCheck } from "./check.ts";
import type { CheckPorts } from "./decide.ts";
import type { ResponseObserver } from "./observed-encoder.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";

const policy = parsedPolicy("{}");

const route = { ...PLAIN_ROUTE, label: "/a", pattern: "/a", public: true };
const allowed: Allow = { ...PUBLIC_ALLOW, route };

const TICKETS: TicketIssuer = { issue: ({ family }) => `ticket of ${family}` };

/** How a port can behave. */
type Behaviour = "well" | "throws" | "rejects" | "never" | "late" | "denies" | "empty";

interface Script {
  readonly policy: Behaviour;
  readonly newDecisionId: Behaviour;
  readonly monotonicNs: Behaviour;
  readonly nowMs: Behaviour;
  readonly authorize: Behaviour;
  readonly async: boolean;
  readonly onDecision: Behaviour;
  readonly onFault: Behaviour;
  readonly onUndecodable: Behaviour;
}

const fine: Script = {
  policy: "well",
  newDecisionId: "well",
  monotonicNs: "well",
  nowMs: "well",
  authorize: "well",
  async: false,
  onDecision: "well",
  onFault: "well",
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
          // A port with a bug could return this, although its type excludes it.
          return Promise.resolve(JSON.parse("null"));
        default:
          return script.async ? Promise.resolve(decision) : decision;
      }
    },
    onDecision: () => orThrow(script.onDecision, undefined),
    onFault: () => orThrow(script.onFault, undefined),
    onUndecodable: () => orThrow(script.onUndecodable, undefined),
  };
}

const validRequest = encodeCheckRequest({
  attributes: {
    request: { http: { method: "GET", path: "/a", host: "x", scheme: "https", headers: { "x-a": "b" } } },
  },
});

async function statusCode(
  script: Script,
  message: Uint8Array | undefined,
  timeLeftMs = 60_000,
): Promise<number> {
  const bytes = await createCheck(portsOf(script))(message, timeLeftMs);
  const response = decodeCheckResponse(bytes);
  if (response.status.code !== 0)
    expect("denied_response" in response && response.denied_response).toBeTruthy();
  return response.status.code;
}

describe("every exit of the handler is an intended response", () => {
  test("an allow has code 0, a denial has another code", async () => {
    expect(await statusCode(fine, validRequest)).toBe(0);
    expect(await statusCode({ ...fine, authorize: "denies" }, validRequest)).toBe(7);
    expect(await statusCode({ ...fine, async: true }, validRequest)).toBe(0);
  });

  test.each([
    ["a message that could not be received", undefined],
    ["an empty message", new Uint8Array()],
    ["no http", encodeCheckRequest({ attributes: {} })],
    ["no method", encodeCheckRequest({ attributes: { request: { http: { path: "/a" } } } })],
    ["no path", encodeCheckRequest({ attributes: { request: { http: { method: "GET" } } } })],
    ["bytes that are not a message", Uint8Array.of(0xff, 0xff, 0xff)],
    ["a truncated message", validRequest.subarray(0, validRequest.length - 3)],
  ])("%s is denied, although every decision is an allow", async (_what, message) => {
    expect(await statusCode(fine, message)).not.toBe(0);
  });

  test("a late, missing or invalid decision is a denial", async () => {
    for (const authorize of ["late", "never", "empty"] as const) {
      expect(await statusCode({ ...fine, authorize }, validRequest, 30)).not.toBe(0);
    }
  });

  test("code 0 is sent only for an allow in time, whatever throws, rejects, hangs or is invalid", async () => {
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
      onDecision: behaviour,
      onFault: behaviour,
      onUndecodable: behaviour,
    });
    const message = fc.oneof(
      { weight: 3, arbitrary: fc.constant(validRequest) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
      {
        weight: 2,
        arbitrary: fc
          .tuple(fc.nat({ max: validRequest.length - 1 }), fc.nat({ max: 255 }))
          .map(([at, byte]) => {
            const mutated = Uint8Array.from(validRequest);
            mutated[at] = byte;
            return mutated;
          }),
      },
    );
    await fc.assert(
      fc.asyncProperty(script, message, async (behaviours, bytes) => {
        const ports = [
          behaviours.policy,
          behaviours.newDecisionId,
          behaviours.monotonicNs,
          behaviours.nowMs,
          behaviours.onDecision,
        ];
        const isAllowed = behaviours.authorize === "well" && ports.every((port) => port === "well");
        // Only a decision that comes too late needs a short time.
        const code = await statusCode(behaviours, bytes, isAllowed ? undefined : 25);
        if (code === 0) expect(isAllowed).toBe(true);
        if (isAllowed && bytes === validRequest) expect(code).toBe(0);
      }),
      { numRuns: 400 },
    );
  });
});

test.each([
  ["bytes that are not a message", Uint8Array.of(0xff, 0xff, 0xff)],
  ["a truncated message", validRequest.subarray(0, validRequest.length - 3)],
])("%s: request_malformed, which is not reported as a fault", async (_what, message) => {
  const events: unknown[] = [];
  const check = createCheck({
    ...portsOf(fine),
    onDecision: ({ reason }) => events.push(reason),
    onFault: (error) => events.push(error),
    onUndecodable: (error) => events.push(error.name),
  });
  const response = decodeCheckResponse(await check(message, 50));
  expect(response.status.code).toBe(3);
  expect(events).toEqual(["RangeError", "request_malformed"]);
});

test("a decision that settles after its response is neither counted nor a fault", async () => {
  for (const settle of ["resolve", "reject"] as const) {
    const events: unknown[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<Decision>();
    const check = createCheck({
      ...portsOf(fine),
      authorize: () => promise,
      onDecision: ({ reason }) => events.push(reason),
      onFault: (error) => events.push(error),
    });
    const response = decodeCheckResponse(await check(validRequest, 1));
    expect(response.status.code).toBe(14);
    if (settle === "resolve") resolve(allowed);
    else reject(new Error("too late"));
    await promise.catch(() => undefined);
    expect(events).toEqual(["internal"]);
  }
});

test("a fault while a late decision is denied is a denial too", async () => {
  const routes = { ...policy.routes, find: () => expect.fail("broken on purpose") };
  let fault: unknown;
  const check = createCheck({
    ...portsOf({ ...fine, authorize: "never" }),
    policy: () => ({ ...policy, routes }),
    onFault: (error) => {
      fault = error;
    },
  });
  expect(decodeCheckResponse(await check(validRequest, 1)).status.code).toBe(13);
  expect(fault).toMatchObject({ message: "broken on purpose" });
});

test("a Check has OpenTelemetry's name for its call, and an observer receives each response that is sent", async () => {
  const [operations, observed]: [string[], Uint8Array[]] = [[], []];
  const ports: CheckPorts = {
    ...portsOf(fine),
    onDecision: (_decision, { operation }) => operations.push(operation),
  };
  const observer = {
    isObserving: () => true,
    onResponse: (bytes: Uint8Array) => void observed.push(bytes),
    onFault: () => expect.unreachable("there is no fault"),
  };
  const bytes = await createCheck(ports, { observer })(validRequest, 60_000);
  expect(observed).toEqual([bytes]);
  expect(await createCheck(ports)(validRequest, 60_000)).toEqual(bytes);
  const name = "envoy.service.auth.v3.Authorization/Check";
  expect(operations).toEqual([name, name]);
});

test.each<readonly [what: string, options: (observer: ResponseObserver) => CheckOptions]>([
  ["without an observer", () => ({ tickets: TICKETS })],
  ["with an observer", (observer) => ({ tickets: TICKETS, observer })],
])("a request that may be charged has its ticket, %s", async (_what, options) => {
  const principal = { ...PRINCIPAL, family: "fam_charged" };
  const charge = { mode: "enforce", route: "/a", units: ["tokens"] } as const;
  const ports: CheckPorts = { ...portsOf(fine), authorize: () => ({ ...allowed, principal, charge }) };
  const observer = { isObserving: () => false, onResponse: () => undefined, onFault: () => undefined };
  const bytes = await createCheck(ports, options(observer))(validRequest, 60_000);
  const { dynamic_metadata: metadata } = decodeCheckResponse(bytes);
  expect(metadata?.fields).toMatchObject({ charge: { stringValue: "ticket of fam_charged" } });
});
