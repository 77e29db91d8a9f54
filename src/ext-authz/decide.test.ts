import { describe, expect, test } from "vitest";
import { PLAIN_ROUTE } from "../../test/support/route.ts";
import type { Decision } from "../core/decision/decision.ts";
import { deny } from "../core/decision/decision.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { ReceivedCheck } from "./check-request-decoder.ts";
import type { CheckPorts, Transport } from "./decide.ts";
import { createDecide } from "./decide.ts";
import { MAX_PENDING_CHECKS } from "./pending-checks.ts";
import { createReceivedHeaders } from "./request-headers.ts";

const ROUTE = { ...PLAIN_ROUTE, label: "/a", pattern: "/a" };
const SHADOWED = { ...ROUTE, mode: "shadow" } as const;
const ALLOWED: Decision = {
  verdict: "allow",
  reason: "allowed",
  route: ROUTE,
  scopes: [],
  rates: [],
  refreshDue: false,
};

/** What a Check reads of a policy. */
function policyWith(more: Partial<Policy> = {}): Policy {
  const policy: Partial<Policy> = {
    mode: "enforce",
    pathParams: "reject",
    forwardPrefix: "x-mine-",
    legacyRateLimit: true,
    credentialSources: ["cookie:lk"],
    ...more,
  };
  return policy as Policy;
}

/** A policy whose only route is the route of every request. */
const routed = (route: typeof ROUTE | typeof SHADOWED, more: Partial<Policy> = {}) =>
  policyWith({ routes: { find: () => route } as unknown as Policy["routes"], ...more });

interface Received {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function check({ method = "GET", path = "/a?q=1", headers = {} }: Received = {}): ReceivedCheck {
  const received = createReceivedHeaders();
  for (const [name, value] of Object.entries(headers)) received.add(name, value);
  return {
    peerAddress: "192.0.2.1",
    certificate: "",
    extensions: undefined,
    http: { method, path, host: "h.example", scheme: "https", headers: received },
  };
}

type Facts = Parameters<CheckPorts["onDecision"]>[1];
type Encoded = readonly [decision: Decision, context: object, mode: string];

/** The steps of one transport whose messages are parsed already, and everything that they report. */
function open(
  more: Partial<CheckPorts> = {},
  transport: Partial<Transport<ReceivedCheck | RangeError | Error, Encoded | "fallback">> = {},
) {
  const decided: (readonly [Decision, Facts])[] = [];
  const faults: (readonly [message: string, decisionId: string])[] = [];
  const undecodable: (readonly [message: string, decisionId: string])[] = [];
  const authorized: (readonly [AuthRequest, number])[] = [];
  let ns = 100n;
  const decide = createDecide<ReceivedCheck | Error, Encoded | "fallback">(
    {
      policy: () => policyWith(),
      authorize: (request, nowMs) => {
        authorized.push([request, nowMs]);
        return ALLOWED;
      },
      nowMs: () => 7000,
      monotonicNs: () => (ns += 5n),
      newDecisionId: () => "d1",
      onDecision: (decision, facts) => void decided.push([decision, facts]),
      onFault: (error, decisionId) => void faults.push([String(error), decisionId]),
      onUndecodable: ({ message }, decisionId) => void undecodable.push([message, decisionId]),
      ...more,
    },
    {
      operation: (message) => (message === undefined ? "lost" : "call"),
      decode: (message) => {
        if (message instanceof Error) throw message;
        return message ?? expect.unreachable("there is nothing to decode");
      },
      encode: (decision, context, mode) => [decision, context, mode],
      fallback: "fallback",
      ...transport,
    },
  );
  return { decide, decided, faults, undecodable, authorized };
}

const CONTEXT = {
  decisionId: "d1",
  forwardPrefix: "x-mine-",
  legacyRateLimit: true,
  credentialSources: ["cookie:lk"],
  request: undefined,
  grpc: false,
};
const REQUEST = { method: "GET", host: "h.example", path: { path: "/a", query: "q=1" }, scheme: "https" };

test("a request is decided at this time, and the response has its context and the mode of its route", () => {
  const { decide, decided, faults, authorized } = open();
  const encoded = decide(check(), 1000);
  expect(authorized).toMatchObject([[REQUEST, 7000]]);
  const request = authorized[0]?.[0];
  expect(encoded).toEqual([ALLOWED, { ...CONTEXT, request }, "enforce"]);
  expect(decided).toEqual([
    [
      ALLOWED,
      { decisionId: "d1", operation: "call", elapsedNs: 5n, mode: "enforce", request, unread: undefined },
    ],
  ]);
  expect(faults).toEqual([]);
});

test("a promised decision is the response when it settles", async () => {
  const { decide, decided } = open({ authorize: () => Promise.resolve(ALLOWED) });
  const encoded = decide(check(), 1000);
  expect(encoded).toBeInstanceOf(Promise);
  expect(await encoded).toMatchObject([ALLOWED, { request: REQUEST }, "enforce"]);
  expect(decided).toHaveLength(1);
});

describe("the mode of a response", () => {
  test("is that of the route, else that of the policy", () => {
    const denied = (route?: typeof SHADOWED) => () => deny("scope_missing", route && { route });
    const modeOf = (policy: Policy, authorize: CheckPorts["authorize"]) =>
      open({ policy: () => policy, authorize }).decide(check(), 1000);
    expect(modeOf(policyWith(), denied(SHADOWED))).toMatchObject([{}, {}, "shadow"]);
    expect(modeOf(policyWith(), denied())).toMatchObject([{}, {}, "enforce"]);
    expect(modeOf(policyWith({ mode: "shadow" }), denied())).toMatchObject([{}, {}, "shadow"]);
  });

  test("of a Check that failed before it read the policy is to enforce", () => {
    const policy = () => {
      throw new Error("broken on purpose");
    };
    const { decide, faults } = open({ policy });
    expect(decide(check(), 1000)).toEqual([
      deny("internal"),
      {
        ...CONTEXT,
        decisionId: "",
        forwardPrefix: "x-latchkey-",
        legacyRateLimit: false,
        credentialSources: [],
      },
      "enforce",
    ]);
    expect(faults).toEqual([["Error: broken on purpose", ""]]);
  });
});

describe("a request that is not decided by a key", () => {
  test("is one that could not be received", () => {
    const { decide, decided, authorized } = open();
    expect(decide(undefined, 1000)).toEqual([deny("request_malformed"), CONTEXT, "enforce"]);
    expect([decided[0]?.[1].operation, authorized]).toEqual(["lost", []]);
  });

  test("is one that does not decode, which is its sender's error and not a fault", () => {
    const { decide, undecodable, faults } = open();
    expect(decide(new RangeError("cut off"), 1000)).toEqual([deny("request_malformed"), CONTEXT, "enforce"]);
    expect([undecodable, faults]).toEqual([[["cut off", "d1"]], []]);
  });

  test("is one whose decoder fails otherwise, which is a fault", () => {
    const { decide, undecodable, faults } = open();
    expect(decide(new Error("a bug"), 1000)).toEqual([deny("internal"), CONTEXT, "enforce"]);
    expect([undecodable, faults]).toEqual([[], [["Error: a bug", "d1"]]]);
  });

  test("is a malformed one, whose known parts are reported", () => {
    const { decide, decided, authorized } = open();
    const message = check({ path: "/a/../b", headers: { "content-type": "application/grpc" } });
    expect(decide(message, 1000)).toEqual([deny("request_malformed"), { ...CONTEXT, grpc: true }, "enforce"]);
    expect(decided).toMatchObject([
      [{}, { request: undefined, unread: { method: "GET", rawPath: "/a/../b" } }],
    ]);
    expect(authorized).toEqual([]);
  });

  test("is one whose path has parameters, unless the policy strips them", () => {
    const message = () => check({ path: "/a;x=1" });
    expect(open().decide(message(), 1000)).toEqual([deny("request_malformed"), CONTEXT, "enforce"]);
    const stripping = open({ policy: () => policyWith({ pathParams: "strip" }) });
    expect(stripping.decide(message(), 1000)).toMatchObject([ALLOWED, {}, "enforce"]);
  });

  test("is one whose key cannot be removed from its cookies", () => {
    const { decide, authorized } = open();
    const message = check({ headers: { cookie: "lk=key; a=\xff", "content-type": "application/grpc" } });
    expect(decide(message, 1000)).toMatchObject([
      deny("request_malformed"),
      { request: REQUEST, grpc: true },
      "enforce",
    ]);
    expect(authorized).toEqual([]);
  });
});

describe("a decision that is late or fails", () => {
  const never = () => new Promise<Decision>(() => undefined);
  const rejects = () => Promise.reject(new Error("broken on purpose"));
  const throws = () => {
    throw new Error("broken on purpose");
  };

  test.each<readonly [what: string, authorize: CheckPorts["authorize"], isFault: boolean]>([
    ["never", never, false],
    ["rejects", rejects, true],
    ["throws", throws, true],
  ])("%s: is denied with the mode of the request's route", async (_what, authorize, isFault) => {
    for (const route of [ROUTE, SHADOWED]) {
      const { decide, decided, faults } = open({ authorize, policy: () => routed(route) });
      const denied = deny("internal", { route });
      expect(await decide(check(), 1)).toMatchObject([denied, { request: REQUEST }, route.mode]);
      expect(decided).toMatchObject([[denied, { mode: route.mode }]]);
      expect(faults).toEqual(isFault ? [["Error: broken on purpose", "d1"]] : []);
    }
  });

  test("is denied with the mode of the policy if no route matches", async () => {
    const routes = { find: () => undefined } as unknown as Policy["routes"];
    const { decide } = open({ authorize: never, policy: () => policyWith({ mode: "shadow", routes }) });
    expect(await decide(check(), 1)).toMatchObject([deny("internal"), { request: REQUEST }, "shadow"]);
  });
});

describe("a response that fails", () => {
  const failing = (times: number) => {
    let calls = 0;
    const encode = (decision: Decision, context: object, mode: string): Encoded => {
      if (++calls <= times) throw new Error("not encoded");
      return [decision, context, mode];
    };
    return encode;
  };
  const settled = [() => ALLOWED, () => Promise.resolve(ALLOWED)];

  test.each(settled)("once is a denial with the route, and a fault", async (authorize) => {
    const { decide, faults, decided } = open(
      { authorize, policy: () => routed(ROUTE) },
      { encode: failing(1) },
    );
    const denied = deny("internal", { route: ROUTE });
    expect(await decide(check(), 1000)).toMatchObject([denied, { request: REQUEST }, "enforce"]);
    expect(faults).toEqual([["Error: not encoded", "d1"]]);
    expect(decided.map(([decision]) => decision)).toEqual([denied]);
  });

  test.each(settled)("twice is the fallback, which denies", async (authorize) => {
    const { decide } = open({ authorize, policy: () => routed(ROUTE) }, { encode: failing(2) });
    expect(await decide(check(), 1000)).toBe("fallback");
  });

  test("of a late decision is handled in the same way", async () => {
    const { decide, faults } = open(
      { authorize: () => new Promise(() => undefined), policy: () => routed(ROUTE) },
      { encode: failing(1) },
    );
    expect(await decide(check(), 1)).toMatchObject([deny("internal", { route: ROUTE }), {}, "enforce"]);
    expect(faults).toHaveLength(1);
  });

  test("because its record fails denies the request", () => {
    let calls = 0;
    const onDecision = () => {
      if (++calls === 1) throw new Error("not recorded");
    };
    const { decide, faults } = open({ onDecision, policy: () => routed(ROUTE) });
    expect(decide(check(), 1000)).toMatchObject([deny("internal", { route: ROUTE }), {}, "enforce"]);
    expect(faults).toEqual([["Error: not recorded", "d1"]]);
  });
});

test("pending Checks have a limit, even if their streams are reset: above it Checks are denied until some settle", async () => {
  const waiting: ((decision: Decision) => void)[] = [];
  let authorized = 0;
  const { decide, decided } = open({
    authorize: () => {
      authorized++;
      return new Promise((resolve) => waiting.push(resolve));
    },
  });
  const message = check();
  const responses = Array.from({ length: MAX_PENDING_CHECKS }, () => decide(message, 60_000));
  expect(decide(message, 60_000)).toEqual([deny("internal"), CONTEXT, "enforce"]);
  expect(authorized).toBe(MAX_PENDING_CHECKS);
  expect(decided).toMatchObject([[{}, { decisionId: "d1", elapsedNs: 5n }]]);
  for (const resolve of waiting.splice(0)) resolve(ALLOWED);
  await Promise.all(responses);
  const next = decide(message, 60_000);
  for (const resolve of waiting) resolve(ALLOWED);
  expect(await next).toMatchObject([ALLOWED, {}, "enforce"]);
});
