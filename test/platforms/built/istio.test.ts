import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Child } from "../../../scripts/child.ts";
import { envoyBinary } from "../../../scripts/envoy-binary.ts";
import { startEnvoyProcess } from "../../../scripts/envoy-process.ts";
import { PLATFORMS, writeNote } from "../../../scripts/platforms.ts";
import type { Istiod } from "../../support/istio.ts";
import { gatewayBootstrap, startIstiod } from "../../support/istio.ts";
import { registerKey } from "../../support/keys.ts";
import type { TestedLatchkey } from "../../support/latchkey.ts";
import { freeAddress, startLatchkey } from "../../support/latchkey.ts";
import type { Upstream } from "../../support/upstream.ts";
import { startUpstream } from "../../support/upstream.ts";

const WAIT = { timeout: 60_000, interval: 300 };
const POLICY = readFileSync(fileURLToPath(new URL("../../../latchkey.yaml", import.meta.url)), "utf8");

describe(PLATFORMS["built/istio.test.ts"], () => {
  let latchkey: TestedLatchkey;
  let upstream: Upstream;
  let istiod: Istiod;
  let envoy: Child;
  let url: string;
  let key: string;

  const ask = (path: string, headers: Record<string, string> = {}) => fetch(`${url}${path}`, { headers });
  const statusOf = async (path: string, headers: Record<string, string> = {}) =>
    (await ask(path, headers)).status;

  beforeAll(async () => {
    latchkey = await startLatchkey({}, { policy: POLICY });
    upstream = await startUpstream();
    const gateway = await freeAddress();
    url = `http://${gateway}`;
    istiod = await startIstiod({ authz: latchkey.grpc, app: `127.0.0.1:${upstream.port}`, gateway });
    await vi.waitFor(
      () => fetch(`http://${istiod.http}/ready`).then(({ ok }) => expect(ok).toBe(true)),
      WAIT,
    );
    envoy = await startEnvoyProcess(await envoyBinary(), gatewayBootstrap(istiod));
    writeNote("built/istio.test.ts", { versions: "istiod of 2026-08-27 (1.31), Envoy 1.40.0" });
    key = (await registerKey(latchkey.http)).api_key;
    await vi
      .waitFor(async () => expect(await statusOf("/v1/chat/x", { "x-api-key": key })).toBe(200), WAIT)
      .catch((error: unknown) => {
        throw new Error(`${envoy.output().slice(-4000)}\n${istiod.output().slice(-4000)}`, { cause: error });
      });
  });

  afterAll(async () => {
    await envoy?.stop();
    await istiod?.stop();
    await Promise.all([latchkey?.stop(), upstream?.stop()]);
  });

  test("without a key a request is denied with the reason, with a valid key it reaches the upstream", async () => {
    const denied = await ask("/v1/chat/x");
    expect([denied.status, denied.headers.get("x-latchkey-reason")]).toEqual([401, "credential_missing"]);
    expect(await statusOf("/v1/chat/x", { authorization: `Bearer ${key}` })).toBe(200);
    const seen = upstream.requests.at(-1)?.headers.map(([name]) => name.toLowerCase());
    expect(seen).toContain("x-latchkey-role");
    expect(seen).not.toContain("authorization");
  });

  test("a missing scope and an escaped slash are denied, a public route needs no key, and slashes are merged", async () => {
    expect(await statusOf("/v1/models/x", { "x-api-key": key })).toBe(403);
    expect(await statusOf("/public%2f..%2fv1/chat/x")).toBe(400);
    expect(await statusOf("/public/x")).toBe(200);
    expect(await statusOf("//v1//models/x", { "x-api-key": key })).toBe(403);
  });

  test("without Latchkey a request is denied with 503, not with 403", async () => {
    await latchkey.stop();
    expect(await statusOf("/v1/chat/x", { "x-api-key": key })).toBe(503);
    expect(await statusOf("/public/x")).toBe(503);
  });
});
