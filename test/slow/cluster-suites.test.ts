import { describe } from "vitest";

/** The contract suites on a real Cluster. */
process.env["TEST_TOPOLOGY"] = "cluster";

describe("the key store on a Cluster", async () => {
  await import("../contract/redis-key-store.test.ts");
});
describe("leases on a Cluster", async () => {
  await import("../contract/lease.test.ts");
});
describe("charges on a Cluster", async () => {
  await import("../contract/charges.test.ts");
});
describe("the audit store on a Cluster", async () => {
  await import("../contract/audit-store.test.ts");
});
describe("copies of stores on a Cluster", async () => {
  await import("../contract/store-copy.test.ts");
});
describe("copies of audit events on a Cluster", async () => {
  await import("../contract/store-copy-audit.test.ts");
});
