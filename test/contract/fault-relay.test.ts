import { once } from "node:events";
import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { startFaultRelay } from "../support/fault-relay.ts";

const LINES = 300;

test("bytes keep their order when a delay starts and ends", async () => {
  const received: Buffer[] = [];
  const server = createServer((socket: Socket) => {
    socket.on("error", () => undefined).on("data", (bytes) => void received.push(bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const relay = await startFaultRelay(typeof address === "object" ? (address?.port ?? 0) : 0);
  const client = connect(relay.port, "127.0.0.1").setNoDelay();
  await once(client, "connect");
  const line = (at: number) => `${String(at).padStart(5, "0")}\n`;
  for (let at = 0; at < LINES; at++) {
    if (at % 10 === 0) relay.set({ kind: "delay", ms: 15 });
    if (at % 10 === 5) relay.set({ kind: "pass" });
    client.write(line(at));
    await pause(2);
  }
  const expected = Array.from({ length: LINES }, (_, at) => line(at)).join("");
  await expect.poll(() => Buffer.concat(received).length).toBe(expected.length);
  expect(Buffer.concat(received).toString()).toBe(expected);
  client.destroy();
  await relay.close();
  server.close();
});
