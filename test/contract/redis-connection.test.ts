import { createServer } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { RedisOptions } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import { latchkeyUser } from "../support/redis-user.ts";
import { stopFor } from "../support/stop.ts";

const password = newSecret();
let redis: TestedRedis;

beforeAll(async () => {
  redis = await startRedis();
  const [, ...rules] = latchkeyUser(password);
  await redis.cli("ACL", "SETUSER", "full", ...rules);
  await redis.cli("ACL", "SETUSER", "unselected", ...rules, "-select");
  await redis.cli("ACL", "SETUSER", "uninformed", ...rules, "-info");
});
afterAll(() => redis?.stop());

async function rejectedSettingOf(options: Omit<RedisOptions, "commandTimeoutMs">): Promise<unknown> {
  const connected = connectRedis({ host: "127.0.0.1", port: redis.port, ...options, commandTimeoutMs: 2000 });
  return connected.then(
    async (client) => {
      await client.close();
      return "connected";
    },
    (error: unknown) => Object(error).rejectedSetting,
  );
}

test("each step of a connection's set-up must succeed, and a permanent fault names its setting", async () => {
  const as = (username: string) => ({ username, password });
  expect(await rejectedSettingOf({ ...as("full"), db: 3 })).toBe("connected");
  await redis.cli("ACL", "SETUSER", "open", "on", "nopass", "allcommands");
  expect(await rejectedSettingOf({ username: "open" })).toBe("connected");
  const credentials = "REDIS_PASSWORD, REDIS_USERNAME or REDIS_URL";
  expect(await rejectedSettingOf({ username: "full", password: "wrong" })).toContain(credentials);
  expect(await rejectedSettingOf({ password: "unwanted" })).toContain("this Redis has none");
  const database = "REDIS_DB, or the database in REDIS_URL: database";
  expect(await rejectedSettingOf({ ...as("full"), db: 99 })).toContain(`${database} 99`);
  expect(await rejectedSettingOf({ db: 99 })).toContain(`${database} 99`);
  expect(await rejectedSettingOf({ ...as("unselected"), db: 3 })).toContain(`${database} 3`);
  expect(await rejectedSettingOf(as("unselected"))).toBe("connected");
  expect(await rejectedSettingOf(as("uninformed"))).toContain("REDIS_USERNAME or REDIS_URL: the ACL");
  await redis.cli("CONFIG", "SET", "requirepass", password);
  expect(await rejectedSettingOf({})).toContain(credentials);
  await redis.cli("-a", password, "CONFIG", "SET", "requirepass", "");
});

test("a server with too many clients is a temporary fault", async () => {
  const own = await startRedis();
  const client = await connectRedis({ url: own.adminUrl, commandTimeoutMs: 2000 });
  await own.cli("CONFIG", "SET", "maxclients", "1");
  expect(await rejectedSettingOf({ port: own.port })).toBeUndefined();
  await client.close();
  await own.stop();
});

test("no error quotes the credentials that a server without AUTH quotes", async () => {
  const own = await startRedis({ args: ["--rename-command", "AUTH", "HIDDEN"] });
  const connecting = connectRedis({ port: own.port, username: "u", password, commandTimeoutMs: 2000 });
  const error: unknown = await connecting.then(
    (client) => client.close(),
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ rejectedSetting: expect.stringContaining("unknown command") });
  expect(inspect(error, { depth: 10 })).not.toContain(password.slice(0, 8));
  await own.stop();
});

test.each([200, 1500])(
  "a process that was stopped for %d ms reads the replies that have arrived, before any timeout",
  async (ms) => {
    const client = await connectRedis({ url: redis.adminUrl, commandTimeoutMs: 50 });
    client.finishStartup();
    const beforeItIsSent = client.command("PING");
    stopFor(ms);
    await expect(beforeItIsSent).resolves.toBe("PONG");
    const afterItWasSent = client.command("PING");
    await turn();
    stopFor(ms);
    await expect(afterItWasSent).resolves.toBe("PONG");
    expect(client.connections()).toBe(1);
    await client.close();
  },
);

test("a server whose first reply does not end is given up, however steadily it sends", async () => {
  const peer = createServer((socket) => {
    socket.on("error", () => undefined).write("$5000\r\n");
    const trickle = setInterval(() => socket.write("x"), 50);
    socket.on("close", () => clearInterval(trickle));
  });
  await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
  const { port } = z.object({ port: z.number() }).parse(peer.address());
  const connected = connectRedis({ host: "127.0.0.1", port, commandTimeoutMs: 50 });
  await expect(connected).rejects.toMatchObject({ kind: "timeout" });
  peer.close();
});

test("a connection that is silent while commands wait is ended, and the next one serves", async () => {
  const own = await startRedis();
  const client = await connectRedis({ url: own.adminUrl, commandTimeoutMs: 50 });
  client.finishStartup();
  process.kill(own.pid, "SIGSTOP");
  await expect(client.command("PING")).rejects.toMatchObject({ kind: "timeout" });
  await expect.poll(() => client.runId()).toBeUndefined();
  process.kill(own.pid, "SIGCONT");
  await expect.poll(() => client.command("PING").catch(() => "not yet")).toBe("PONG");
  expect(client.connections()).toBe(2);
  await client.close();
  await own.stop();
});

test("a Redis that does not respond fails the commands of a turn after their timeout, and later ones get their own replies", async () => {
  const own = await startRedis();
  const client = await connectRedis({ url: own.adminUrl, commandTimeoutMs: 50 });
  client.finishStartup();
  process.kill(own.pid, "SIGSTOP");
  const late = { kind: "timeout", message: "Redis did not respond in time" };
  const [first, second] = [client.command("ECHO", "first"), client.command("ECHO", "second")];
  await Promise.all([first, second].map((reply) => expect(reply).rejects.toMatchObject(late)));
  process.kill(own.pid, "SIGCONT");
  await expect.poll(() => client.command("ECHO", "third").catch(() => "not yet")).toBe("third");
  await client.close();
  await own.stop();
});
