import assert from "node:assert/strict";
import type { Client } from "./checks.ts";
import type { Command } from "./commands.ts";
import { respond } from "./handler.ts";
import type { ClientFrame } from "./rules.ts";
import type { ModelStream } from "./state.ts";
import { liveStreams } from "./state.ts";
import type { World } from "./world.ts";

/** The handler of a request does nothing by itself. */
const LATER = { receives: "nothing", responds: "later", response: { form: "unary", bytes: 0 } } as const;

const HEAD = {
  kind: "headers",
  block: "malformed strict head",
  isEnd: false,
  length: undefined,
  plan: LATER,
} as const;

export function runCommand(world: World, command: Command): void {
  if (command.kind === "advance") return void world.advance(command.ms);
  const client = world.clients[command.client] ?? assert.fail();
  switch (command.kind) {
    case "open":
      world.send(client, { ...command, kind: "headers", id: nextId(client) });
      break;
    case "data":
      for (let sent = 1; sent <= command.times; sent++) {
        const isEnd = command.isEnd && sent === command.times;
        world.send(client, { ...command, isEnd, id: pick(client, command.at) });
      }
      break;
    case "trailers": {
      const block = command.isHead ? "head" : "trailers";
      world.send(client, { ...HEAD, block, isEnd: command.isEnd, id: pick(client, command.at) });
      break;
    }
    case "together":
      world.sendTogether(
        client,
        command.changes.map((change) => frameOf(client, change)),
      );
      break;
    case "respond":
    case "consume":
      actOn(world, client, command);
      break;
    case "burst":
      burst(world, client, command);
      break;
    case "drain":
      world.drain(client);
      break;
    case "stop reading":
    case "read":
      world.setReading(client, command.kind === "read");
      break;
    default:
      world.send(client, frameOf(client, command));
  }
}

/** A handler does something later: also on a stream that is closed. */
function actOn(
  world: World,
  client: Client,
  command: Extract<Command, { kind: "respond" | "consume" }>,
): void {
  if (command.kind === "respond") {
    const call = client.model.streams.get(pick(client, command.at));
    if (call !== undefined) world.act(() => respond(call, command.answer, world.limits));
    return;
  }
  const kept = [...client.model.streams.values()].flatMap(({ consume }) => consume ?? []);
  const consume = kept.at(-1 - (command.at % 4));
  if (consume !== undefined) world.act(consume);
}

function nextId({ model }: Client): number {
  return model.highest + (model.highest === 0 ? 1 : 2);
}

/** Mostly streams that are open. Sometimes closed ones, and rarely an idle one. */
function pick({ model }: Client, at: number): number {
  if (at === 0) return model.highest + 3;
  const live = liveStreams(model).map(({ id }) => id);
  const ids = at % 8 < 6 ? live : [...model.streams.keys()];
  return ids[(at >> 3) % Math.max(ids.length, 1)] ?? Math.max(model.highest, 1);
}

type Change = Extract<
  Command,
  { kind: "widen" | "initial window" | "reset" | "priority" | "acknowledgement" | "goaway" }
>;

function frameOf(client: Client, change: Change): ClientFrame {
  switch (change.kind) {
    case "initial window":
      return { kind: "settings", window: change.window };
    case "widen": {
      const id = change.isConnection ? 0 : pick(client, change.at);
      return { kind: "window", id, bytes: change.bytes };
    }
    case "priority":
      return { kind: "priority", id: pick(client, change.at), bytes: 4 + (change.at % 2) };
    case "reset":
      return { kind: "reset", id: pick(client, change.at) };
    case "acknowledgement":
    case "goaway":
      return { kind: change.kind };
  }
}

/** More frames than a budget or a window permits. */
function burst(world: World, client: Client, { of, at }: Extract<Command, { kind: "burst" }>): void {
  const repeat = (times: number, frameOf: (index: number) => ClientFrame) =>
    world.send(client, ...Array.from({ length: times }, (_, index) => frameOf(index)));
  const id = nextId(client);
  if (of === "settings") repeat(110, () => ({ kind: "settings", window: undefined }));
  else if (of === "malformed heads") repeat(2100, (index) => ({ ...HEAD, id: id + 2 * index }));
  else {
    const late = {
      kind: "data",
      id: pick(client, at),
      bytes: 16_128,
      padding: undefined,
      isEnd: false,
    } as const;
    repeat(530, () => late);
  }
}

/** Everybody does what is left: handlers respond, clients end their requests and open the windows. Then every stream has ended. */
export function finish(world: World): void {
  for (const first of [...world.clients]) {
    world.setReading(first, true);
    if (!world.clients.includes(first)) continue;
    for (let rounds = 0; rounds < 5; rounds++)
      for (const call of liveStreams(first.model))
        if (!first.connection.isClosed) finishCall(world, first, call);
    if (first.connection.isClosed) continue;
    assert.deepEqual(
      liveStreams(first.model).map(({ id }) => id),
      [],
      "a stream does not end",
    );
    world.drain(first);
    assert.ok(!world.clients.includes(first), "a drained connection is closed");
  }
  const { pending, buffered, unsent, incompleteRequests } = world.load;
  assert.deepEqual([pending.bytes(), buffered.bytes(), unsent.bytes(), incompleteRequests], [0, 0, 0, 0]);
}

function finishCall(world: World, client: Client, call: ModelStream): void {
  const { model } = client;
  if (call.consume !== undefined) world.act(call.consume);
  world.act(() => respond(call, { form: "unary", bytes: 10 }, world.limits));
  const pending = call.written - call.taken;
  if (model.sendWindow < 1_000_000) world.send(client, { kind: "window", id: 0, bytes: 1_000_000 });
  if (pending > call.sendWindow)
    world.send(client, { kind: "window", id: call.id, bytes: pending - call.sendWindow });
  if (!call.requestEnded)
    world.send(client, { kind: "data", id: call.id, bytes: 0, padding: undefined, isEnd: true });
}
