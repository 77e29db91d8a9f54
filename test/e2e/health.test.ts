import { Client, credentials } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { HEALTH_SERVICE } from "../../scripts/protobuf.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis } from "../support/redis.ts";

const SERVING = 1;
const NOT_SERVING = 2;

test("an instance that may not serve keys sends NOT_SERVING to health watchers until it may serve again", async () => {
  const redis = await startRedis();
  const policy = "faults: { revocations: { max_staleness: 1s, then: deny } }";
  const latchkey = await startLatchkey(
    { JWT_SECRET: newSecret(), REDIS_URL: redis.url, DRAIN_SECONDS: "60" },
    { policy },
  );
  const client = new Client(latchkey.grpc, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.Watch;
  const watch = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: "" });
  const seen = watch.map((answer: { readonly status: number }) => answer.status)[Symbol.asyncIterator]();
  /** Waits for the status: on a busy machine an instance may become unready, and ready again, by itself. */
  const receives = async (wanted: number) => {
    while ((await seen.next()).value !== wanted);
  };
  const readyz = async () => (await fetch(`http://${latchkey.ops}/readyz`)).status;
  await receives(SERVING);
  await redis.stop();
  await receives(NOT_SERVING);
  expect(await readyz()).toBe(503);
  const again = await startRedis({ port: redis.port });
  await receives(SERVING);
  process.kill(latchkey.pid, "SIGTERM");
  await receives(NOT_SERVING);
  expect(await readyz()).toBe(503);
  watch.on("error", () => undefined).cancel();
  client.close();
  await latchkey.stop();
  await again.stop();
});
