import fc from "fast-check";
import { expect, test } from "vitest";
import type { RateLimitResponse } from "../../scripts/protobuf.ts";
import { RATE_LIMIT_METHOD } from "../../scripts/protobuf.ts";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import type { ReceiveCharge, ReceivedCharge } from "../core/charges/charge-receiver.ts";
import { createShouldRateLimit } from "./should-rate-limit.ts";

const [OK, OVER_LIMIT] = [1, 2];

function open(receive: ReceiveCharge = () => false) {
  const policy = parsedPolicy("faults: { limits: deny }");
  const received: ReceivedCharge[] = [];
  const faults: unknown[] = [];
  const none = () => expect.fail("a charge takes from no bucket");
  const handle = createShouldRateLimit({
    policy: () => policy,
    limits: { take: none, peek: none },
    receiveCharge(charge) {
      received.push(charge);
      return receive(charge);
    },
    nowMs: () => 0,
    onResult: () => undefined,
    onFault: (error) => faults.push(error),
  });
  const ask = async (descriptors: readonly object[], hits = 0): Promise<RateLimitResponse> => {
    const bytes = RATE_LIMIT_METHOD.requestSerialize({ domain: "latchkey", hits_addend: hits, descriptors });
    return RATE_LIMIT_METHOD.responseDeserialize(Buffer.from(await handle(bytes, 1000)));
  };
  return { ask, received, faults };
}

const entries = (pairs: Readonly<Record<string, string>>) =>
  Object.entries(pairs).map(([key, value]) => ({ key, value }));

test("each descriptor is one charge with its own number, in their order", async () => {
  const { ask, received } = open(({ unit }) => unit === "b");
  const { overall_code, statuses } = await ask([
    { entries: entries({ charge: "t", unit: "a", decision_id: "d" }), hits_addend: { value: "12" } },
    {
      entries: entries({ charge: "t", unit: "b", fallback: "yes" }),
      hits_addend: { value: String(2n ** 63n) },
    },
    { entries: entries({ charge: "t", unit: "c" }), hits_addend: {} },
  ]);
  expect(received).toEqual([
    { ticket: "t", unit: "a", decisionId: "d", amount: 12, isFallback: false },
    { ticket: "t", unit: "b", decisionId: undefined, amount: Number.MAX_SAFE_INTEGER, isFallback: true },
    { ticket: "t", unit: "c", decisionId: undefined, amount: 0, isFallback: false },
  ]);
  expect([overall_code, ...statuses.map(({ code }) => code)]).toEqual([OVER_LIMIT, OK, OVER_LIMIT, OK]);
});

test("the number of the request is not that of a descriptor", async () => {
  const { ask, received } = open();
  expect((await ask([{ entries: entries({ charge: "t", unit: "a" }) }], 50)).overall_code).toBe(OK);
  expect(received).toMatchObject([{ amount: undefined }]);
});

test("an amount to return is no amount", async () => {
  const { ask, received } = open();
  const refund = { entries: entries({ charge: "t", unit: "a" }), hits_addend: { value: "50" } };
  expect((await ask([{ ...refund, is_negative_hits: true }])).overall_code).toBe(OK);
  expect(received).toMatchObject([{ amount: undefined }]);
});

test("a fault while charging is a response, as for other domains", async () => {
  const { ask, faults } = open(() => {
    throw new Error("a bug");
  });
  expect((await ask([{ entries: entries({ charge: "t" }) }])).overall_code).toBe(OVER_LIMIT);
  expect(faults).toEqual([new Error("a bug")]);
});

test("whatever descriptors contain, each gets a status", async () => {
  const { ask } = open();
  const descriptor = fc.record({
    entries: fc.array(
      fc.record({ key: fc.constantFrom("charge", "unit", "", "x"), value: fc.string({ unit: "binary" }) }),
      {
        maxLength: 5,
      },
    ),
    hits_addend: fc.record({ value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String) }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(descriptor, { maxLength: 5 }), async (descriptors) => {
      expect((await ask(descriptors)).statuses.length).toBe(descriptors.length);
    }),
  );
});
