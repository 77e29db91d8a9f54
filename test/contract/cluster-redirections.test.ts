import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { createClusterNodes } from "../../src/redis/cluster-nodes.ts";
import { connectSpread } from "../../src/redis/spread-on-cluster.ts";
import type { ScriptReply } from "../support/cluster-stub.ts";
import { startClusterStub } from "../support/cluster-stub.ts";
import { endings } from "../support/feed.ts";
import { freePort } from "../support/redis.ts";

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function startStub(onScript: ScriptReply) {
  const stub = await startClusterStub(onScript);
  endings.push(stub.stop);
  return stub;
}

async function startSpread(port: number) {
  const spread = await connectSpread({
    seeds: [{ host: "127.0.0.1", port }],
    instanceId: "test",
    isReader: true,
    commandTimeoutMs: 1000,
    onMap: () => undefined,
  });
  endings.push(spread.close);
  spread.finishStartup();
  return { spread, run: () => spread.script("return 1")(["{a}"], []) };
}

/** Long enough that a timeout that starts with the second command ends noticeably later. */
const BEFORE_SECOND_MS = 100;

test("a node that has no slot yet keeps its connection while commands are redirected to it", async () => {
  const target = await startStub((_, reply) => reply(":1\r\n"));
  const source = await startStub((_, reply) => reply(`-ASK 1 127.0.0.1:${target.port}\r\n`));
  const { spread, run } = await startSpread(source.port);
  for (let times = 0; times < 3; times++) {
    expect(await run()).toBe(1);
    await spread.refresh();
  }
  expect(target.connections()).toBe(1);
});

test.each(["MOVED", "ASK"])("the command after %s has the time that is left", async (redirection) => {
  const target = await startStub(() => undefined);
  const source = await startStub(async (_, reply) => {
    await pause(BEFORE_SECOND_MS);
    reply(`-${redirection} 1 127.0.0.1:${target.port}\r\n`);
  });
  const { run } = await startSpread(source.port);
  await expect(run()).rejects.toThrow("the node of the Cluster did not respond in time");
});

test("a script that a node does not know yet has the time that is left", async () => {
  const node = await startStub(async (command, reply) => {
    await pause(BEFORE_SECOND_MS);
    if (command === "EVALSHA") reply("-NOSCRIPT no such script\r\n");
  });
  const { run } = await startSpread(node.port);
  await expect(run()).rejects.toThrow("the node of the Cluster did not respond in time");
});

test("a connection that fails late does not take the place of the next one to the same node", async () => {
  const server = createServer((socket) => void socket.on("error", () => undefined));
  const port = await freePort();
  server.listen(port, "127.0.0.1");
  const nodes = createClusterNodes({ seeds: [], commandTimeoutMs: 60_000 });
  const node = { host: "127.0.0.1", port };
  const first = nodes.connected(node);
  const [firstSocket] = await once(server, "connection");
  // The node was used, then it was in the list before, then it is dropped.
  for (let times = 0; times < 3; times++) nodes.keep([]);
  const second = nodes.connected(node);
  const [secondSocket] = await once(server, "connection");
  expect(second).not.toBe(first);
  firstSocket.destroy();
  await expect(first).rejects.toThrow();
  expect(nodes.connected(node)).toBe(second);
  secondSocket.destroy();
  await expect(second).rejects.toThrow();
  await nodes.close();
  server.close();
});
