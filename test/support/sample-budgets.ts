import { setTimeout as pause } from "node:timers/promises";
import type { TestedConsole } from "./console.ts";
import { connectChecks } from "./direct-checks.ts";
import type { TestedLatchkey } from "./latchkey.ts";

/** Plans and quotas for {@link sampleBudgets}. */
export const BUDGET_PLANS = `
plans:
  starter:
    rate_limits: [{ name: burst, per: key, capacity: 1000, refill: 50/s }]
    quotas: [{ name: daily, per: owner, limit: 100, every: day }]
  pro:
    rate_limits: [{ name: burst, per: key, capacity: 5000, refill: 200/s }]
    quotas: [{ name: daily, per: owner, limit: 10000, every: day }]
  batch:
    quotas: [{ name: monthly, per: key, limit: 200, every: month }]
`;

export const BUDGETS_POLICY = `
${BUDGET_PLANS}
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d, plan: starter }
  support: { scopes: [keys:read, audit:read], ttl: 1d, refresh_window: 6h }
  billing: { scopes: [keys:read, keys:write, limits:write], ttl: 1d, refresh_window: 6h, may_assign_plans: [starter, pro] }
  admin: { scopes: [keys:read, keys:write, audit:read, limits:write], may_grant: [basic, support, billing], ttl: 1d, refresh_window: 6h }
routes:
  - { path: /v1/search/**, scopes: [a] }
  - { path: /v1/reports/**, scopes: [a], cost: 2 }
  - { path: /v1/admin/**, scopes: [audit:read] }
guards: { open_calls: 10000/s }
`;

/** What a policy calls the role of the keys, and paths that they may request, with cost 1 and 2, and that they may not. */
export interface SampleNames {
  readonly role: string;
  readonly search: string;
  readonly reports: string;
  readonly denied: string;
}

const NAMES: SampleNames = {
  role: "basic",
  search: "/v1/search/x",
  reports: "/v1/reports/x",
  denied: "/v1/admin/x",
};

/** What each owner requests: the plan of its key, and requests of each path. */
const OWNERS = [
  { owner: "acme", plan: "starter", search: 62, reports: 16, denied: 4 },
  { owner: "globex", plan: "pro", search: 240, reports: 12, denied: 0 },
  { owner: "initech", plan: "starter", search: 118, reports: 0, denied: 9 },
  { owner: "umbrella/eu-west", plan: "starter", search: 81, reports: 0, denied: 0 },
  { owner: "hooli", plan: "pro", search: 31, reports: 7, denied: 2 },
] as const;

/** Keys, requests and overrides of several owners. Resolves when all of it is in the store. */
export async function sampleBudgets(
  { latchkey, client }: Pick<TestedConsole, "client"> & { readonly latchkey: Pick<TestedLatchkey, "grpc"> },
  { role, search, reports, denied }: SampleNames = NAMES,
): Promise<void> {
  const checks = await connectChecks(latchkey.grpc);
  try {
    for (const { owner, plan, ...requests } of OWNERS) {
      const { api_key: key } = await client.register({
        name: `${owner} app`,
        key_type: role,
        owner,
        plan,
      });
      await send(checks.check, key, search, requests.search);
      await send(checks.check, key, reports, requests.reports);
      await send(checks.check, key, denied, requests.denied);
    }
    const worker = await client.register({ name: "nightly batch", key_type: role, plan: "batch" });
    await send(checks.check, worker.api_key, search, 170);
  } finally {
    checks.close();
  }
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
  await client.limits.setOverride(
    { owner: "hooli" },
    {
      quotas: [{ name: "daily", limit: 20_000, extra: 5000 }],
      note: "Launch week, agreed with sales",
      expires_at: inDays(9),
    },
  );
  await client.limits.setOverride(
    { owner: "umbrella/eu-west" },
    { plan: "pro", note: "Trial of the plan pro" },
  );
  await stored(client);
}

async function send(
  check: (path: string, key: string) => Promise<string>,
  key: string,
  path: string,
  count: number,
): Promise<void> {
  for (let sent = 0; sent < count; sent++) await check(path, key);
}

/** Usage is stored every 10 s. */
async function stored(client: TestedConsole["client"]): Promise<void> {
  for (;;) {
    const { usage } = await client.usage.report({ by: "day", limit: 500 });
    const requests = usage
      .filter((row) => OWNERS.some(({ owner }) => owner === row.owner))
      .reduce((sum, { allowed, denied, limited }) => sum + allowed + denied + limited, 0);
    if (requests >= TOTAL) return;
    await pause(500);
  }
}

const TOTAL = OWNERS.reduce((sum, { search, reports, denied }) => sum + search + reports + denied, 0);
