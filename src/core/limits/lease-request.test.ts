import { expect, test } from "vitest";
import type { LeaseHolder } from "./lease-holder.ts";
import {
  availableTokens,
  createLeaseHolder,
  emptyForMs,
  returnAllLeases,
  spendTokens,
} from "./lease-holder.ts";
import { beginLeaseRequest, completeLeaseRequest, failLeaseRequest } from "./lease-request.ts";
import type { LeaseReply } from "./leased-bucket.ts";

const limit = { capacity: 100, refillPerSecond: 1, leased: true };

/** A holder with one lease of 10 tokens. */
function holderWith(leaseId: string): LeaseHolder {
  const holder = createLeaseHolder(limit, 0);
  beginLeaseRequest(holder, 1, leaseId, 0);
  completeLeaseRequest(holder, { grantedTokens: 10, waitUs: 0, leasesOutstanding: false }, 0);
  return holder;
}

test("a request without a response does not lose the settlements that it carried: the next one repeats them", () => {
  const holder = holderWith("a");
  spendTokens(holder, 4, 100);
  returnAllLeases(holder);
  const lost = beginLeaseRequest(holder, 1, "b", 150);
  expect(lost.settlements).toEqual([{ leaseId: "a", unspentTokens: 6, spentAgoUs: 50_000 }]);
  failLeaseRequest(holder);
  const next = beginLeaseRequest(holder, 1, "c", 200);
  expect(next.settlements).toEqual([{ leaseId: "a", unspentTokens: 6, spentAgoUs: 100_000 }]);
});

test("a response confirms the settlements of its request: they are not sent again", () => {
  const holder = holderWith("a");
  returnAllLeases(holder);
  beginLeaseRequest(holder, 1, "b", 150);
  completeLeaseRequest(holder, { grantedTokens: 0, waitUs: 1, leasesOutstanding: false }, 151);
  expect(beginLeaseRequest(holder, 1, "c", 200).settlements).toEqual([]);
});

test("one request is pending at a time, and a response needs a request", () => {
  const holder = createLeaseHolder(limit, 0);
  expect(() =>
    completeLeaseRequest(holder, { grantedTokens: 1, waitUs: 0, leasesOutstanding: false }, 0),
  ).toThrow("no lease request is pending");
  beginLeaseRequest(holder, 1, "a", 0);
  expect(() => beginLeaseRequest(holder, 1, "b", 0)).toThrow("a lease request is pending already");
  failLeaseRequest(holder);
  failLeaseRequest(holder);
  expect(beginLeaseRequest(holder, 1, "c", 0).settlements).toEqual([]);
});

test.each<readonly [what: string, reply: Omit<LeaseReply, "grantedTokens">, ms: number]>([
  ["of a bucket for its whole wait", { waitUs: 100_000_000, leasesOutstanding: false }, 100_000],
  ["for a second, if leases may be returned", { waitUs: 100_000_000, leasesOutstanding: true }, 1000],
  [
    "of a quota for a minute, because an operator may reset it",
    { waitUs: 100_000_000, leasesOutstanding: false, counter: { lifeUs: 1, freeUnits: 0 } },
    60_000,
  ],
  ["for ten milliseconds at least", { waitUs: 1, leasesOutstanding: false }, 10],
])("a denial is remembered %s", (_what, reply, ms) => {
  const holder = createLeaseHolder(limit, 0);
  beginLeaseRequest(holder, 5, "a", 0);
  completeLeaseRequest(holder, { grantedTokens: 0, ...reply }, 50);
  expect(emptyForMs(holder, 5, 50)).toBe(ms);
  expect(emptyForMs(holder, 4, 50)).toBe(0);
});

test.each([
  ["a lease ends 100 ms before the store counts it as spent", 1_000_000, 900],
  ["a lease that ends with its window ends 10 ms before it", 500_000, 490],
])("%s, counted from the sending of its request", (_what, lifeUs, endMs) => {
  const holder = createLeaseHolder(limit, 0);
  beginLeaseRequest(holder, 1, "a", 0);
  const counter = { lifeUs, freeUnits: 7 };
  completeLeaseRequest(holder, { grantedTokens: 10, waitUs: 0, leasesOutstanding: false, counter }, 300);
  expect(availableTokens(holder, endMs - 1)).toBe(10);
  expect(availableTokens(holder, endMs)).toBe(0);
});
