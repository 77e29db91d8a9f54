import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Platform } from "../../scripts/platforms.ts";
import { PLATFORMS, writeNote } from "../../scripts/platforms.ts";
import { run } from "../../scripts/run.ts";
import type { ForwardProxy, ForwardProxyOptions } from "./forward-proxies.ts";
import { newSecret } from "./keys.ts";
import type { TestedLatchkey } from "./latchkey.ts";
import { startLatchkey } from "./latchkey.ts";
import { runHere } from "./program.ts";
import type { Upstream } from "./upstream.ts";
import { startUpstream } from "./upstream.ts";

export interface TestedProxy {
  readonly start: (options: ForwardProxyOptions) => Promise<ForwardProxy>;
  readonly binary: () => Promise<string>;
  /** What makes the program print its version. */
  readonly versionArgument: string;
}

/** The shipped configuration of a proxy, as an operator tries it. test/slow/forward-auth.test.ts has its details. */
export function describeProxy(platform: Platform, { start, binary, versionArgument }: TestedProxy): void {
  describe(PLATFORMS[platform], () => {
    const adminToken = newSecret();
    let upstream: Upstream;
    let latchkey: TestedLatchkey;
    let proxy: ForwardProxy;

    beforeAll(async () => {
      upstream = await startUpstream();
      latchkey = await startLatchkey({
        ADMIN_TOKEN: adminToken,
        AUTH_LISTEN: "127.0.0.1:0",
        AUDIT_FILE: "off",
      });
      proxy = await start({ auth: latchkey.auth ?? "", service: `127.0.0.1:${upstream.port}` });
      const version = /\d+\.\d+\.\d+/.exec(await run(await binary(), [versionArgument]))?.[0] ?? "";
      writeNote(platform, { versions: `${PLATFORMS[platform]} ${version}` });
    });

    afterAll(async () => {
      await proxy?.stop();
      await Promise.all([latchkey?.stop(), upstream?.stop()]);
    });

    test("the smoke test of a deployment succeeds", async () => {
      const args = ["smoke", `http://${latchkey.http}`, "--envoy", `http://127.0.0.1:${proxy.port}`];
      const ran = await runHere(args, { LATCHKEY_TOKEN: adminToken });
      expect([ran.status, ran.stdout + ran.stderr]).toEqual([0, expect.any(String)]);
    });

    test("a request without a key does not reach the service, and none does without Latchkey", async () => {
      const seen = upstream.requests.length;
      const status = async () => (await fetch(`http://127.0.0.1:${proxy.port}/v1/chat/x`)).status;
      expect(await status()).toBe(401);
      await latchkey.stop();
      expect(await status()).toBeGreaterThanOrEqual(500);
      expect(upstream.requests.length).toBe(seen);
    });
  });
}
