import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import type { FastifyInstance } from "fastify";
import Fastify from "fastify";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EventStreams } from "./event-streams.ts";
import { createEventStreams } from "./event-streams.ts";

let samples: number;
let next: () => Promise<string>;
let ended: string | undefined;
let streams: EventStreams;
let server: FastifyInstance;
let url: string;
const opened: ClientRequest[] = [];

beforeEach(async () => {
  samples = 0;
  next = async () => String(samples);
  ended = undefined;
  streams = createEventStreams({
    everyMs: 5,
    next() {
      samples++;
      return next();
    },
  });
  server = Fastify();
  server.decorateReply("problem", undefined);
  server.decorateRequest("actor", "");
  server.addHook("onRequest", async (call) => {
    call.actor = String(call.headers["x-actor"]);
  });
  server.get("/", (call, reply) => streams.open(call, reply, async () => ended));
  url = await server.listen({ host: "127.0.0.1", port: 0 });
});
afterEach(async () => {
  for (const call of opened.splice(0)) call.destroy();
  streams.close();
  await server.close();
});

async function open(method: "GET" | "HEAD" = "GET", actor = "admin:1"): Promise<IncomingMessage> {
  const call = request(url, { method, agent: false, headers: { "x-actor": actor } }).end();
  call.on("error", () => {});
  opened.push(call);
  const [response]: IncomingMessage[] = await once(call, "response");
  if (response === undefined) throw new Error("there is no response");
  return response;
}

/** Reads until the text appears. */
async function readUntil(response: IncomingMessage, wanted: string): Promise<string> {
  let read = "";
  for await (const part of response) {
    read += String(part);
    if (read.includes(wanted)) return read;
  }
  return read;
}

test("each stream gets the same events, and nothing runs without a stream", async () => {
  const [first, second] = await Promise.all([open(), open()]);
  expect(first.headers["content-type"]).toBe("text/event-stream");
  const read = await Promise.all([readUntil(first, "data: 3\n\n"), readUntil(second, "data: 3\n\n")]);
  for (const events of read) expect(events).toContain("data: 2\n\ndata: 3\n\n");
  for (const call of opened) call.destroy();
  // The last timer may still have to notice that there is no stream.
  await expect
    .poll(async () => {
      const before = samples;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return samples - before;
    })
    .toBe(0);
});

test("a stream ends with the reason when its caller is no longer admitted, and when the listener closes", async () => {
  const first = await open();
  await readUntil(first, "data: 1");
  const second = await open();
  ended = "key-revoked";
  expect(await text(second)).toContain("event: end\ndata: key-revoked\n\n");
  ended = undefined;
  const third = await open();
  streams.close();
  expect(await text(third)).not.toContain("event: end");
  expect((await open()).statusCode).toBe(503);
});

test("a failed sample is no event, and the stream goes on", async () => {
  let isFailing = true;
  next = async () => {
    if (isFailing) throw new Error("the store");
    return "well";
  };
  const response = await open();
  setTimeout(() => {
    isFailing = false;
  }, 20);
  expect(await readUntil(response, "data: well")).not.toContain("the store");
});

test("the 65th stream gets 503, and HEAD opens none", async () => {
  for (let count = 0; count < 64; count++) await open("GET", `key:${count % 2}`);
  expect((await open("HEAD")).statusCode).toBe(503);
  const denied = await open();
  expect([denied.statusCode, denied.headers["retry-after"]]).toEqual([503, "1"]);
  opened[0]?.destroy();
  await expect.poll(async () => (await open()).statusCode).toBe(200);
});

test("one caller gets half of the streams, and leaves the others to the others", async () => {
  for (let count = 0; count < 32; count++) await open("GET", "key:greedy");
  expect((await open("GET", "key:greedy")).statusCode).toBe(503);
  expect((await open("GET", "key:other")).statusCode).toBe(200);
});

test("HEAD gets the headers alone", async () => {
  const response = await open("HEAD");
  expect(response.headers["content-type"]).toBe("text/event-stream");
  expect(await text(response)).toBe("");
  expect(samples).toBe(0);
});

test("a client that does not read is cut off, and the others go on", async () => {
  next = async () => "x".repeat(1024 * 1024);
  const slow = await open();
  slow.pause();
  const cut = Promise.withResolvers<void>();
  slow.once("error", () => cut.resolve());
  const fast = await open();
  fast.resume();
  await expect.poll(() => samples).toBeGreaterThan(20);
  slow.resume();
  await cut.promise;
  expect(fast.closed).toBe(false);
});
