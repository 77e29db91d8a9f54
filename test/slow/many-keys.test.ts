import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import { createKeyStore } from "../../src/sqlite/key-store.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startUpstream } from "../support/upstream.ts";

const KEYS = 100_000;
const PORTION = 1000;

/** Writes a registry with this many keys, as the process itself would. */
async function fill(dataDir: string): Promise<void> {
  const database = openDatabase(dataDir);
  const store = createKeyStore(database, { recordRetentionSeconds: 7 * 86_400, nowMs: Date.now });
  const nowSeconds = Math.floor(Date.now() / 1000);
  for (let made = 0; made < KEYS; made += PORTION) {
    const put = Array.from({ length: PORTION }, (_, at): KeyRecord => {
      const number = String(made + at).padStart(22, "0");
      return {
        keyId: `contributor_${nowSeconds}_${number}`,
        family: `fam_${number}`,
        familyStartedAt: nowSeconds,
        role: "contributor",
        scopes: ["chat:read"],
        name: (made + at) % 10_000 === 0 ? "rare" : "many",
        issuedAt: nowSeconds,
        expiresAt: nowSeconds + 86_400,
        refreshAfter: nowSeconds + 43_200,
        selfService: false,
        disabled: false,
        version: 1,
      };
    });
    await store.commit({ nowSeconds: Math.floor(Date.now() / 1000), put, audit: [] });
  }
  database.close();
}

test("100,000 keys are listed completely while Checks continue, and a rare filter finds its ten", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "latchkey-many-"));
  removeAtEnd(dataDir);
  await fill(dataDir);
  const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret(), DATA_DIR: dataDir };
  const [latchkey, upstream] = await Promise.all([startLatchkey(env), startUpstream()]);
  const envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  const operator = createClient({ url: `http://${latchkey.operator}`, token: env.ADMIN_TOKEN });
  const { api_key } = await operator.register({ name: "checked", key_type: "node_operator" });

  let listing = true;
  let denied = 0;
  let checks = 0;
  const checking = (async () => {
    while (listing) {
      const response = await fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, {
        headers: { authorization: `Bearer ${api_key}` },
      });
      checks++;
      if (response.status !== 200) denied++;
    }
  })();
  const seen = new Set<string>();
  for await (const { key_id } of operator.keys.all({ limit: 500 })) seen.add(key_id);
  const rare: string[] = [];
  for await (const { key_id } of operator.keys.all({ limit: 500, name_prefix: "rare" })) rare.push(key_id);
  const searched = await operator.keys.total({ search: "RARE", unused_since: "2100-01-01T00:00:00Z" });
  listing = false;
  await checking;
  await Promise.all([envoy.stop(), latchkey.stop(), upstream.stop()]);

  expect(seen.size).toBe(KEYS + 1);
  expect(rare).toHaveLength(10);
  expect(searched).toMatchObject({ keys: 10, live: 10, examined: KEYS + 1 });
  expect(denied).toBe(0);
  // Checks were decided between any two pages.
  expect(checks).toBeGreaterThan(KEYS / 500);
});
