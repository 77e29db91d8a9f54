import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { encodeFrame } from "./frames.ts";
import { createOutput } from "./output.ts";

const KIB = 1024;
const BUFFER_BYTES = 64 * KIB;

/** An output, and what its socket has taken. The socket is done with a write when the test says so. */
function start({ highWaterMark = Number.POSITIVE_INFINITY } = {}) {
  const writes: { readonly bytes: Buffer; readonly copy: Buffer; readonly done: () => void }[] = [];
  const pressure: number[] = [];
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    writableEnded: false,
    writableLength: 0,
    write(bytes: Buffer, done: () => void): boolean {
      writes.push({ bytes, copy: Buffer.from(bytes), done });
      socket.writableLength += bytes.length;
      return socket.writableLength < highWaterMark;
    },
  });
  // The output uses these members only.
  const output = createOutput(socket as unknown as Socket, (unsentBytes) => pressure.push(unsentBytes));
  let nextByte = 1;
  return {
    output,
    socket,
    writes,
    pressure,
    /** Writes this number of bytes, which differ from those before, and returns their buffer. */
    fill(bytes: number): ArrayBufferLike {
      const { buffer, at } = output.reserve(bytes);
      buffer.fill(nextByte++, at, at + bytes);
      return buffer.buffer;
    },
    /** What the socket has taken, as it was then. */
    sent: () => Buffer.concat(writes.map(({ copy }) => copy)),
    expectUnchanged() {
      for (const { bytes, copy } of writes) expect(bytes.equals(copy)).toBe(true);
    },
  };
}

test("frames that are written one after the other are sent together, in their order, and not before a flush", () => {
  const { output, writes, sent } = start();
  const frames = [1, 3, 5].map((id) => encodeFrame(0, 1, id, Buffer.alloc(id, id)));
  for (const id of [1, 3, 5]) output.frame(0, 1, id, Buffer.alloc(id, id));
  expect(writes).toEqual([]);
  output.flush();
  output.flush();
  expect(writes.length).toBe(1);
  expect(sent()).toEqual(Buffer.concat(frames));
});

test("what a callback has written is sent once, after the callback, and so is what the next callback writes", async () => {
  const { output, fill, writes } = start();
  for (const expected of [1, 2, 3]) {
    fill(10);
    output.flushSoon();
    fill(10);
    output.flushSoon();
    expect(writes.length).toBe(expected - 1);
    await turn();
    expect(writes.map(({ bytes }) => bytes.length)).toEqual(Array(expected).fill(20));
  }
});

test("the socket gets all bytes in their order, whatever their sizes and the flushes between them", () => {
  const { output, fill, sent } = start();
  const sizes = [1000, 24, 1, 16_393, 49_151, 65_536, 1, 65_535, 1, 1, 100_000, 3, 65_536];
  for (const size of sizes) {
    fill(size);
    if (size % 2 === 1) output.flush();
  }
  output.flush();
  const expected = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, index + 1)));
  // An assertion on buffers of this size would take seconds.
  expect(sent().equals(expected)).toBe(true);
});

test("the first buffer of a connection has 1 KiB and the others 64 KiB; each is filled to its last byte", () => {
  const { fill } = start();
  const first = fill(1);
  expect(first.byteLength).toBe(KIB);
  expect(fill(KIB - 1)).toBe(first);
  const second = fill(1);
  expect(second.byteLength).toBe(BUFFER_BYTES);
  expect(fill(BUFFER_BYTES - 1)).toBe(second);
  expect(fill(1)).not.toBe(second);
});

test("a busy connection alternates between two buffers", () => {
  const { output, fill, writes, expectUnchanged } = start();
  const buffers = new Set<ArrayBufferLike>();
  fill(KIB);
  for (let round = 0; round < 10; round++) {
    buffers.add(fill(BUFFER_BYTES));
    output.flush();
    expectUnchanged();
    // The socket is done with the other buffer.
    for (const { done } of writes.splice(0, writes.length - 1)) done();
  }
  expect([...buffers].map(({ byteLength }) => byteLength)).toEqual([BUFFER_BYTES, BUFFER_BYTES]);
});

test("bytes stay unchanged until the socket has sent them, also if it has sent later bytes of their buffer", () => {
  const { output, fill, writes, sent, expectUnchanged } = start();
  fill(KIB);
  // Two writes from one buffer, of which the first is not complete.
  fill(BUFFER_BYTES - 10);
  output.flush();
  fill(10);
  output.flush();
  expect(writes.length).toBe(3);
  fill(BUFFER_BYTES);
  writes.at(2)?.done();
  fill(BUFFER_BYTES);
  output.flush();
  fill(BUFFER_BYTES);
  output.flush();
  expectUnchanged();
  expect(sent().length).toBe(KIB + 4 * BUFFER_BYTES);
});

test("a buffer whose writes are all complete is filled further, and its later bytes stay unchanged as well", () => {
  const { output, fill, writes, expectUnchanged } = start();
  fill(KIB);
  fill(10);
  output.flush();
  for (const { done } of writes) done();
  fill(BUFFER_BYTES - 10);
  output.flush();
  fill(BUFFER_BYTES);
  output.flush();
  expectUnchanged();
});

test.each([100, BUFFER_BYTES + 1])(
  "a buffer of another size than 64 KiB is not used again: after %i bytes",
  (bytes) => {
    const { output, fill, writes, sent } = start();
    fill(bytes === 100 ? 100 : KIB);
    if (bytes > BUFFER_BYTES) fill(bytes);
    output.flush();
    const last = fill(BUFFER_BYTES);
    for (const { done } of writes) done();
    const next = fill(BUFFER_BYTES);
    expect([last.byteLength, next.byteLength]).toEqual([BUFFER_BYTES, BUFFER_BYTES]);
    output.flush();
    const expected = Buffer.alloc(BUFFER_BYTES, bytes > BUFFER_BYTES ? 4 : 3);
    expect(sent().subarray(-BUFFER_BYTES).equals(expected)).toBe(true);
  },
);

test("bytes that need more than 64 KiB get a buffer of their own size, also if another buffer is free", () => {
  const { output, fill, writes } = start();
  fill(KIB);
  fill(BUFFER_BYTES);
  fill(BUFFER_BYTES);
  output.flush();
  for (const { done } of writes) done();
  expect(fill(BUFFER_BYTES + 1).byteLength).toBe(BUFFER_BYTES + 1);
});

test("§5.2: the bytes that wait are reported when they exceed the high-water mark of the socket, and not below it", () => {
  const { output, fill, pressure } = start({ highWaterMark: 100 });
  fill(99);
  output.flush();
  expect(pressure).toEqual([]);
  fill(1);
  output.flush();
  expect(pressure).toEqual([100]);
});

test.each(["destroyed", "writableEnded"] as const)("a socket that is %s gets no further bytes", (state) => {
  const { output, socket, fill, writes } = start();
  fill(10);
  socket[state] = true;
  output.flush();
  expect(writes).toEqual([]);
});
