import { describe } from "vitest";

/** The contract suites, with clients that find their Redis through a Sentinel. */
process.env["TEST_TOPOLOGY"] = "sentinel";

describe("the key store through Sentinel", async () => {
  await import("./redis-key-store.test.ts");
});
describe("leases through Sentinel", async () => {
  await import("./lease.test.ts");
});
describe("the audit store through Sentinel", async () => {
  await import("./audit-store.test.ts");
});
describe("copies of stores through Sentinel", async () => {
  await import("./store-copy.test.ts");
});
