import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LimitedService } from "../support/limited-service.ts";
import { startLimitedService } from "../support/limited-service.ts";

/** A month, so that no window ends during the test unless the test runs at the end of a month. */
const POLICY = `
plans:
  free: { quotas: [{ name: monthly, per: owner, limit: 10, every: month }] }
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 12h, plan: free }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 10000/s }
`;

let service: LimitedService;

const admitted = (token: string) => service.admitted(token, 200);

describe.each(["embedded", "redis"])("with the %s store, an override of a quota", (store) => {
  beforeAll(async () => {
    service = await startLimitedService(store, POLICY);
  });

  afterAll(() => service?.stop());

  test("raises from 10 to 100 after 10 were spent: 90 more; lowers below what was spent: none; extra units come on top", async () => {
    const { admin } = service;
    const owner = `owner-${randomUUID()}`;
    const { api_key: token } = await admin.register({ name: "n", key_type: "basic", owner });
    expect(await admitted(token)).toBe(10);
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 100 }] });
    expect(await admitted(token)).toBe(90);
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 50 }] });
    expect(await admitted(token)).toBe(0);
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 100, extra: 7 }] });
    expect(await admitted(token)).toBe(7);
    await admin.limits.clearOverride({ owner });
    expect(await admitted(token)).toBe(0);
  });
});
