import { afterAll, beforeAll, expect, test } from "vitest";
import { connectRedis } from "../../src/redis/client.ts";
import type { SentinelSetup } from "../support/sentinel.ts";
import { sentinelUrl, startSentinelSetup } from "../support/sentinel.ts";

let setup: SentinelSetup;
beforeAll(async () => {
  setup = await startSentinelSetup();
});
afterAll(() => setup?.stop());

async function faultOf(url: string) {
  return connectRedis({ url, commandTimeoutMs: 2000 }).then(
    async (client) => {
      await client.close();
      return "connected";
    },
    (error: unknown) => error,
  );
}

test("a connection leads to the primary that the Sentinels name", async () => {
  expect(await faultOf(setup.url)).toBe("connected");
  expect(
    await faultOf(
      sentinelUrl(
        setup.sentinels.map((s) => s.port),
        "other",
      ),
    ),
  ).toMatchObject({ rejectedSetting: "x" });
  expect(await faultOf(sentinelUrl([1, 2]))).toMatchObject({ message: "x" });
});
