import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { memorySocket } from "../../test/support/memory-socket.ts";
import { createAcceptedSockets } from "./accepted-sockets.ts";

const MAX_SOCKETS = 16;
const MAX_WITHOUT_SETTINGS = 4;

function newSocket(remote?: { readonly remoteAddress: string; readonly remotePort: number }): Socket {
  return Object.assign(memorySocket({ onSent: () => undefined }).socket, remote);
}

function start() {
  let evictions = 0;
  const sockets = createAcceptedSockets(MAX_SOCKETS, () => evictions++);
  return {
    ...sockets,
    evictions: () => evictions,
    /** Connects with or without SETTINGS. */
    accept(count: number, isEstablished: boolean): Socket[] {
      return Array.from({ length: count }, () => {
        const socket = newSocket();
        sockets.add(socket);
        if (isEstablished) sockets.onEstablished(socket);
        return socket;
      });
    },
  };
}

const open = (sockets: readonly Socket[]) => sockets.map(({ destroyed }) => !destroyed);

test("above a quarter of all places, the oldest client without SETTINGS is closed, and no client with SETTINGS", () => {
  const { accept } = start();
  const established = accept(2, true);
  const silent = accept(MAX_WITHOUT_SETTINGS, false);
  established.push(...accept(2, true));
  // The one that connects counts until it has sent SETTINGS.
  expect(open(silent)).toEqual([false, true, true, true]);
  silent.push(...accept(3, false));
  expect(open(silent)).toEqual([false, false, false, true, true, true, true]);
  expect(open(established)).toEqual([true, true, true, true]);
});

test("clients without SETTINGS that are gone do not count", () => {
  const { accept } = start();
  const silent = accept(1, false);
  for (const socket of accept(MAX_WITHOUT_SETTINGS - 1, false)) socket.destroy();
  silent.push(...accept(MAX_WITHOUT_SETTINGS - 1, false));
  expect(open(silent)).toEqual([true, true, true, true]);
});

test("clients of one address cannot displace those of another", () => {
  const { add } = start();
  const of = (remoteAddress: string, ports: readonly number[]) =>
    ports.map((remotePort) => {
      const socket = newSocket({ remoteAddress, remotePort });
      add(socket);
      return socket;
    });
  const one = of("192.0.2.1", [1000]);
  const many = of("192.0.2.2", [1000, 1001, 1002, 1003, 1004]);
  expect([open(one), open(many)]).toEqual([[true], [false, false, true, true, true]]);
});

test("with TLS, a connection is the same below TLS and above it: its address and port say so", () => {
  const { add, onEstablished } = start();
  const remotes = [1, 2, 3, 4, 5].map((remotePort) => ({ remoteAddress: "192.0.2.1", remotePort }));
  const below = remotes.map(newSocket);
  for (const socket of below.slice(0, 4)) add(socket);
  for (const remote of remotes.slice(0, 2)) onEstablished(newSocket(remote));
  for (const socket of below.slice(4)) add(socket);
  expect(open(below)).toEqual([true, true, true, true, true]);
});

test("with the last place, and not before, one connection is closed for the next client", () => {
  const { accept, evictions } = start();
  const [first] = accept(MAX_SOCKETS - 1, true);
  expect(evictions()).toBe(0);
  accept(1, true);
  expect(evictions()).toBe(1);
  first?.destroy();
  // Its place is free again, and is the last one.
  accept(1, true);
  expect(evictions()).toBe(2);
  accept(1, true);
  expect(evictions()).toBe(3);
});

/** Whether the promise is fulfilled after the current turn. Waiting for it would hide that it never is. */
async function isFulfilled(promise: Promise<unknown>): Promise<boolean> {
  let fulfilled = false;
  void promise.then(() => {
    fulfilled = true;
  });
  await turn();
  return fulfilled;
}

test("all sockets are closed when the last one closes, and immediately if no socket is open", async () => {
  const { accept, destroyAll, allClosed } = start();
  expect(await isFulfilled(allClosed())).toBe(true);
  const sockets = accept(2, true);
  const closed = allClosed();
  sockets[0]?.destroy();
  expect(await isFulfilled(closed)).toBe(false);
  destroyAll();
  expect([await isFulfilled(closed), open(sockets)]).toEqual([true, [false, false]]);
  expect(await isFulfilled(allClosed())).toBe(true);
});

test("a socket that is closed, and has not said so, is not awaited", async () => {
  const { add, allClosed } = start();
  add(Object.assign(newSocket(), { closed: true }));
  expect(await isFulfilled(allClosed())).toBe(true);
});
