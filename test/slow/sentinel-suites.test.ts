import { describe } from "vitest";

/** The contract suites, with clients that find their Redis through a Sentinel. */
process.env["TEST_TOPOLOGY"] = "sentinel";

describe("the key store through Sentinel", async () => {
  await import("../contract/redis-key-store.test.ts");
});
describe("leases through Sentinel", async () => {
  await import("../contract/lease.test.ts");
});
describe("the audit store through Sentinel", async () => {
  await import("../contract/audit-store.test.ts");
});
describe("copies of stores through Sentinel", async () => {
  await import("../contract/store-copy.test.ts");
});
describe("copies of audit events through Sentinel", async () => {
  await import("../contract/store-copy-audit.test.ts");
});
