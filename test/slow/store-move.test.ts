import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { CopyReport } from "../../src/cli/store/report.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import { startRedis } from "../support/redis.ts";

const POLICY = `
roles:
  basic: { scopes: [chat:read], ttl: 1d, refresh_window: 1h, self_service: true }
routes: []
guards: { open_calls: 100000/s, failures: 100000/s, self_service_keys: 100000 }
`;

interface Member {
  readonly latchkey: TestedLatchkey;
  readonly client: LatchkeyClient;
  readonly store: "old" | "new";
}

interface Key {
  readonly token: string;
  readonly keyId: string;
  /** Set once the revocation is acknowledged, with the store that has it first. */
  revoked?: { readonly atMs: number; readonly store: "old" | "new" };
}

/** A revocation reaches the other instances of its store within this time. */
const FEED_MS = 1500;

test("a fleet moves live to another Redis: no key is lost, and no revoked key is served", async () => {
  const [old, next] = await Promise.all([startRedis(), startRedis()]);
  const secrets = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret(), KEY_HASH_SECRET: newSecret() };
  const start = async (store: Member["store"]): Promise<Member> => {
    const REDIS_URL = (store === "old" ? old : next).url;
    const latchkey = await startLatchkey({ ...secrets, REDIS_URL, AUDIT_FILE: "off" }, { policy: POLICY });
    const client = createClient({ url: `http://${latchkey.operator}`, token: secrets.ADMIN_TOKEN });
    return { latchkey, client, store };
  };
  const members: [Member, Member] = await Promise.all([start("old"), start("old")]);
  const keys: Key[] = [];
  const problems: string[] = [];
  const counts = { registered: 0, revoked: 0, checked: 0, frozen: 0 };
  /** Whether revocations on the old store have reached the new one. */
  let isMerged = false;
  let isMoving = true;

  const register = async ({ client }: Member) => {
    const made = await client
      .register({ name: "x", key_type: "basic" })
      .catch((error: { readonly reason?: string }) => error);
    if ("api_key" in made) {
      keys.push({ token: made.api_key, keyId: made.key_id });
      counts.registered++;
    } else if (made.reason === "registry-frozen") counts.frozen++;
  };
  const revoke = async ({ client, store }: Member, key: Key) => {
    if (key.revoked !== undefined) return;
    await client.revoke(key.token);
    key.revoked = { atMs: performance.now(), store };
    counts.revoked++;
  };
  const check = async ({ client, store }: Member, { token, keyId, revoked }: Key) => {
    const sentMs = performance.now();
    const mustDeny =
      revoked !== undefined && revoked.atMs + FEED_MS < sentMs && (revoked.store === store || isMerged);
    const denied = await client.validate(token).then(
      () => undefined,
      (error: { readonly reason?: string }) => error.reason ?? "unreachable",
    );
    counts.checked++;
    if (mustDeny && denied === undefined)
      problems.push(`${keyId} was revoked and is served on the ${store} store`);
    if (revoked === undefined && denied === "credential-invalid")
      problems.push(`${keyId} is unknown on the ${store} store`);
  };
  const anyKey = () => keys[Math.floor(Math.random() * keys.length)];
  const traffic = Promise.all(
    [0, 1].map(async (which) => {
      while (isMoving) {
        const member = members[which];
        const key = anyKey();
        const draw = Math.random();
        // A stopped instance answers nothing.
        if (member !== undefined && draw < 0.3) await register(member).catch(() => undefined);
        else if (member !== undefined && key !== undefined && draw < 0.4)
          await revoke(member, key).catch(() => undefined);
        else if (member !== undefined && key !== undefined) await check(member, key);
        await pause(5);
      }
    }),
  );
  const copy = () => runHere(["store", "copy", old.url, next.url, "--json"]);
  const moveMember = async (which: 0 | 1) => {
    await members[which].latchkey.stop();
    members[which] = await start("new");
  };

  await expect.poll(() => counts.registered).toBeGreaterThan(100);
  await copy();
  await members[0].client.freeze.start(600);
  const frozen = JSON.parse((await copy()).stdout) as CopyReport;
  const frozenKeys = frozen.compared.find(({ name }) => name === "keys");
  // Revocations are still accepted, so a row may be older in the target. None is absent.
  expect(frozenKeys?.target.rows).toBe(frozenKeys?.source.rows);
  expect(frozenKeys?.source.rows).toBeGreaterThan(100);
  await moveMember(0);
  await moveMember(1);
  expect(await copy()).toMatchObject({ status: 0 });
  await pause(FEED_MS);
  isMerged = true;
  const registered = counts.registered;
  await expect.poll(() => counts.registered).toBeGreaterThan(registered + 20);
  isMoving = false;
  await traffic;
  for (const key of keys) {
    await check(members[0], key);
    await members[1].client.keys.show(key.keyId).catch(() => problems.push(`${key.keyId} is not listed`));
  }
  console.log(`moved: ${JSON.stringify(counts)}`);
  expect(problems).toEqual([]);
  expect(counts.frozen).toBeGreaterThan(0);
  expect(counts.revoked).toBeGreaterThan(10);
  for (const { latchkey } of members) await latchkey.stop();
  await old.stop();
  await next.stop();
}, 300_000);
