import { mkdir } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import type { TestedConsole } from "../test/support/console.ts";
import { signIn, startConsole, WIDE } from "../test/support/console.ts";
import { connectChecks } from "../test/support/direct-checks.ts";
import { newSecret, registerKey } from "../test/support/keys.ts";
import { startLatchkey } from "../test/support/latchkey.ts";
import { startRedis } from "../test/support/redis.ts";
import { BUDGET_PLANS, sampleBudgets } from "../test/support/sample-budgets.ts";
import { SAMPLE_POLICY, sampleRegistry } from "../test/support/sample-registry.ts";
import { LOOKS } from "./picture-looks.ts";
import { POLICY_PICTURES } from "./policy-pictures.ts";

/** A picture of one page. */
export interface Picture {
  readonly name: string;
  /** The fragment of the URL without `#`. */
  readonly place: string;
  /** Creates what the picture shows, once. */
  readonly prepare?: (tested: TestedConsole) => Promise<void>;
  /** Waits until the page shows what the picture is about. */
  readonly ready: (page: Page) => Promise<unknown>;
  /** Whether the picture ends with the window, to stay small. */
  readonly isCut?: true;
}

/** One entry for each page of the console. */
const PICTURES: readonly Picture[] = [
  {
    name: "overview",
    place: "/",
    async ready(page) {
      await page.getByRole("row", { name: "this one" }).waitFor();
      // The chart shows how the figures move.
      await page.waitForTimeout(45_000);
    },
  },
  {
    name: "budgets",
    place: "/budgets",
    prepare: (tested) =>
      sampleBudgets(tested, {
        role: "partner",
        search: "/orders/17",
        reports: "/reports/daily",
        denied: "/keys/1",
      }),
    ready: (page) =>
      Promise.all([
        page.getByRole("row", { name: "initech" }).first().waitFor(),
        page.getByRole("row", { name: "globex" }).waitFor(),
        page.getByRole("row", { name: "hooli" }).first().waitFor(),
      ]),
  },
  {
    name: "audit",
    place: "/audit?role=partner",
    async ready(page) {
      await page.getByRole("button", { name: "Verify the chain" }).click();
      await page.getByText("none was changed").waitFor();
    },
  },
  ...POLICY_PICTURES,
];

const sample = await sampleRegistry();

/** Pictures of the sample registry, on an instance of its own. */
const SAMPLE_PICTURES: readonly Picture[] = [
  {
    name: "keys",
    place: "/keys?owner=acme",
    ready: (page) => page.getByRole("row", { name: "billing-sync" }).waitFor(),
  },
  {
    name: "key",
    place: `/keys/${sample.keyId}`,
    ready: (page) =>
      Promise.all([
        page.getByText("of one registration").waitFor(),
        page.getByRole("row", { name: "monthly" }).waitFor(),
        page.getByRole("img", { name: "Requests by day" }).waitFor(),
      ]),
    isCut: true,
  },
  {
    name: "revoke",
    place: `/keys/${sample.keyId}?`,
    async ready(page) {
      await page.getByRole("button", { name: "Revoke all keys of the owner" }).click();
      await page.getByRole("dialog").getByText("live keys").waitFor();
    },
    isCut: true,
  },
  {
    name: "register",
    place: "/keys/new",
    ready: (page) => page.getByRole("button", { name: "Register" }).waitFor(),
  },
];

const POLICY = `
${BUDGET_PLANS}
roles:
  basic: { scopes: [orders:read], ttl: 30d, refresh_window: 7d, self_service: true, rate_limits: [{ name: burst, per: key, capacity: 200, refill: 180/s }] }
  partner: { scopes: [orders:read, orders:write], ttl: 90d, refresh_window: 14d }
  on_call: { scopes: [keys:read, keys:write, audit:read], ttl: 7d, refresh_window: 1d, may_grant: [basic, partner] }
routes:
  - { path: /orders/**, methods: [GET], scopes: [orders:read] }
  - { path: /orders/**, methods: [POST], scopes: [orders:write] }
  - { path: /reports/**, scopes: [orders:read], cost: 2 }
  - { path: /keys/**, scopes: [keys:read] }
`;

/** Makes the pictures of docs/console/: `node scripts/console-pictures.ts [NAME…]`. */
const folder = fileURLToPath(new URL("../docs/console/", import.meta.url));
const wanted = process.argv.slice(2);
const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);

const redis = await startRedis();
const env = {
  ...{ JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), AUDIT_KEY: newSecret() },
  ...{ ADMIN_TOKEN: newSecret(), REDIS_URL: redis.url, REDIS_COMMAND_TIMEOUT_MS: "2000" },
};
const tested = await startConsole({ env, policy: POLICY });
const other = await startLatchkey(env, { policy: POLICY });
const traffic = new AbortController();
const sending = [tested.latchkey, other].map(({ grpc }) => sendChecks(grpc, traffic.signal));
try {
  await mkdir(folder, { recursive: true });
  for (const { name, prepare } of PICTURES) if (isWanted(name)) await prepare?.(tested);
  await Promise.all(LOOKS.map((look) => takeAll(look, tested, PICTURES)));
} finally {
  traffic.abort();
  await Promise.all(sending);
  await Promise.all([tested.stop(), other.stop()]);
  await redis.stop();
}

if (SAMPLE_PICTURES.some(({ name }) => isWanted(name))) {
  const sampled = await startConsole({ env: { DATA_DIR: sample.dataDir }, policy: SAMPLE_POLICY });
  try {
    await Promise.all(LOOKS.map((look) => takeAll(look, sampled, SAMPLE_PICTURES)));
  } finally {
    await sampled.stop();
  }
}

async function takeAll(
  { suffix, viewport, colorScheme }: (typeof LOOKS)[number],
  shown: TestedConsole,
  pictures: readonly Picture[],
): Promise<void> {
  const page = await (await shown.newContext({ viewport, colorScheme })).newPage();
  const save = (name: string, isCut = false) =>
    page.screenshot({ path: `${folder}${name}-${suffix}.png`, fullPage: viewport === WIDE && !isCut });
  await page.goto(`${shown.origin}/console`);
  if (shown === tested && isWanted("sign-in")) await save("sign-in");
  await signIn(page, shown.adminToken);
  for (const { name, place, ready, isCut } of pictures) {
    if (!isWanted(name)) continue;
    await page.goto(`${shown.origin}/console#${place}`);
    await ready(page);
    await save(name, isCut);
  }
}

/** Requests as clients send them: most with a valid key, a few without one or with an invalid one. */
async function sendChecks(grpc: string, signal: AbortSignal): Promise<void> {
  const checks = await connectChecks(grpc);
  const { api_key: key } = await registerKey(tested.latchkey.http);
  for (let sent = 0; !signal.aborted; sent++) {
    const burst = 6 + Math.round(4 * Math.sin(sent / 60));
    await Promise.all(Array.from({ length: burst }, () => checks.check("/orders/17", key)));
    if (sent % 3 === 0) await checks.check("/orders/17");
    if (sent % 7 === 0) await checks.check("/unknown", key);
    if (sent % 11 === 0) await checks.check("/orders/17", `${key}x`);
    await pause(40);
  }
  checks.close();
}
