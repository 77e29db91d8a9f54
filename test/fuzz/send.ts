import type { Socket } from "node:net";
import { connect } from "node:net";
import type { Conversation, Expand, Plan } from "./conversation.ts";
import { http1Counter, http1Plan } from "./http1.ts";
import { http2Counter, http2Plan } from "./http2.ts";

/** How long a client waits for a certain response, and for an uncertain one. */
const PATIENCE_MS = 2_000;
const SHORT_PATIENCE_MS = 150;

/**
 * Sends a whole conversation and waits for its end: the responses, the end of the connection, or a timeout.
 */
export async function converse(port: number, conversation: Conversation, expand: Expand): Promise<void> {
  const plan =
    conversation.version === "2" ? http2Plan(conversation, expand) : http1Plan(conversation, expand);
  const localAddress = `127.0.0.${conversation.from}`;
  const socket = connect({ host: "127.0.0.1", port, localAddress, noDelay: true });
  const done = Promise.withResolvers<void>();
  socket.on("error", () => done.resolve());
  socket.on("close", () => done.resolve());
  const timers = [setTimeout(done.resolve, PATIENCE_MS)];
  socket.on("connect", () => {
    write(socket, conversation, plan, done.resolve);
    if (!plan.isComplete) timers.push(setTimeout(done.resolve, SHORT_PATIENCE_MS));
  });
  const count = counter(socket, conversation);
  socket.on("data", (chunk: Buffer) => {
    if (count(chunk) >= plan.responses) done.resolve();
  });
  await done.promise;
  for (const timer of timers) clearTimeout(timer);
  if (conversation.ending.kind === "abort" && conversation.ending.how === "reset") socket.resetAndDestroy();
  else socket.destroy();
}

function counter(socket: Socket, { version, requests, copies }: Conversation): (chunk: Buffer) => number {
  if (version === "2") return http2Counter((bytes) => socket.write(bytes));
  return http1Counter(Array.from({ length: copies }, () => requests.map(({ method }) => method)).flat());
}

function write(socket: Socket, { ending }: Conversation, plan: Plan, leave: () => void): void {
  const bytes = Buffer.concat(plan.writes);
  if (ending.kind === "cut") {
    socket.write(bytes.subarray(0, Math.floor(bytes.length * ending.at)), () => leave());
    return;
  }
  for (const piece of plan.writes) socket.write(piece);
  if (ending.kind === "abort") socket.write(Buffer.alloc(0), () => setTimeout(leave, ending.afterMs));
}
