import { expect, test } from "vitest";
import type { ClientFrame } from "../../test/support/http2-model/rules.ts";
import type { Plan } from "../../test/support/http2-model/state.ts";
import { liveStreams } from "../../test/support/http2-model/state.ts";
import { createWorld } from "../../test/support/http2-model/world.ts";

/*
 * Orders of frames that the random runs of `stream-model.test.ts` reach rarely. The world compares the server with the model after
 * each step.
 */
const ample = { process: 1_000_000, connection: 1_000_000 };
const limits = { buffered: ample, pending: ample, unsent: ample, incompleteRequests: 100 };

function startWorld() {
  const world = createWorld({ clients: 1, maxStreams: 6, limits });
  const client = () => world.clients[0] ?? expect.fail("one client");
  return {
    world,
    client,
    send: (...frames: readonly ClientFrame[]) => world.send(client(), ...frames),
    call: (id: number) => client().model.streams.get(id) ?? expect.fail(`stream ${id}`),
  };
}

function open(id: number, receives: Plan["receives"]): ClientFrame {
  const plan: Plan = { receives, responds: "later", response: { form: "unary", bytes: 0 } };
  return { kind: "headers", id, block: "strict head", isEnd: false, length: undefined, plan };
}

function data(id: number, bytes: number, isEnd = false): ClientFrame {
  return { kind: "data", id, bytes, padding: undefined, isEnd };
}

const HALF_OF_WINDOW = [16_384, 16_384];

test.each<[end: string, frame: ClientFrame]>([
  ["the end of its request", data(1, 0, true)],
  ["a reset by its client", { kind: "reset", id: 1 }],
])(
  "a handler that was paused and continues after %s gets no further credit for its client",
  (_end, frame) => {
    const { world, send, call } = startWorld();
    send(open(1, "pieces"), ...HALF_OF_WINDOW.map((bytes) => data(1, bytes)), frame);
    world.act(() => call(1).consume?.());
    expect(call(1).receiveWindow).toBe(65_535 - 32_768);
  },
);

test("a handler that was paused and continues gets credit for its client at once", () => {
  const { world, send, call } = startWorld();
  send(open(1, "pieces"), ...HALF_OF_WINDOW.map((bytes) => data(1, bytes)));
  world.act(() => call(1).consume?.());
  expect(call(1).receiveWindow).toBe(65_535);
});

test("a client may use the whole window of a stream, and not a byte more", () => {
  const { send, call } = startWorld();
  send(open(1, "nothing"), open(3, "nothing"));
  for (const id of [1, 3]) send(data(id, 16_384), data(id, 16_384), data(id, 16_384), data(id, 16_383));
  expect([call(1).receiveWindow, call(1).resetBy]).toEqual([0, undefined]);
  send(data(1, 1), data(3, 0));
  expect([call(1).resetBy, call(3).resetBy]).toEqual(["server", undefined]);
});

test("the window of a connection is replenished when exactly half of it is used", () => {
  const { send, client } = startWorld();
  send(open(1, "nothing"), { kind: "reset", id: 1 }, data(1, 0));
  send(...Array.from({ length: 512 }, () => data(1, 16_384)));
  expect(client().model.receiveWindow).toBe(16 * 1024 * 1024);
  expect(liveStreams(client().model)).toEqual([]);
});

test.each([0, 1])("a window may grow to 2,147,483,647 bytes, and not beyond: stream %i", (id) => {
  const { send, client, call } = startWorld();
  const widen = (bytes: number): ClientFrame => ({ kind: "window", id, bytes });
  send(open(1, "nothing"), widen(2 ** 31 - 1 - 65_535));
  const side = () => (id === 0 ? client().model : call(id));
  expect(side().sendWindow).toBe(2 ** 31 - 1);
  const [connection, stream] = [client(), call(1)];
  send(widen(1));
  expect(id === 0 ? connection.model.isOver : stream.resetBy === "server").toBe(true);
});
