import { expect, test } from "vitest";
import type { LeaseHolder } from "./lease-holder.ts";
import { createLeaseHolder, returnAllLeases, spendTokens } from "./lease-holder.ts";
import { beginLeaseRequest, completeLeaseRequest, failLeaseRequest } from "./lease-request.ts";

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
