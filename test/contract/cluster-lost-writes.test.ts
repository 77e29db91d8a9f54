import { afterEach, expect, test } from "vitest";
import { rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import { revokeFamily } from "../../src/core/keys/key-revocation.ts";
import { registerLegacyKey } from "../../src/core/legacy/legacy-keys.ts";
import { startClusterNode } from "../support/cluster.ts";
import { endings } from "../support/feed.ts";
import { admin, startRemembering } from "../support/remembering.ts";

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

test("what a Cluster has lost is entered again: a rotation, a V1 key and a key that has ended since", async () => {
  const node = await startClusterNode();
  endings.push(() => node.stop("SIGKILL"));
  const one = await startRemembering(node.url);
  const old = await one.register({ owner: "acme" });
  const rotation = await rotateByOperator(one.registry, old.keyId, undefined, admin);
  if (rotation.kind !== "issued") throw new Error(rotation.reason);
  const next = rotation.record;
  const issued = await registerLegacyKey(one.registry, { name: "n", role: "basic" }, admin);
  if (issued.kind === "refused") throw new Error(issued.reason);
  const ended = await one.register();
  await one.feed.read();
  await node.cli("FLUSHALL");
  await revokeFamily((await startRemembering(node.url)).registry, ended.family, admin);
  expect(await one.enter()).toEqual(["entered", "entered", "entered", "entered_revoked"]);
  expect(await one.statuses()).toEqual({
    [old.keyId]: "superseded",
    [next.keyId]: "active",
    [issued.record.keyId]: "active",
    [ended.keyId]: "revoked",
  });
  expect(await one.store.findLegacy([issued.key])).toEqual(issued.record);
  expect(await one.enter()).toEqual([]);
});
