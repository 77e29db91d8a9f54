import { expect, test } from "vitest";
import { echoServer } from "../../test/support/echo-server.ts";
import { FRAME_CASES, PREFACE_CASES } from "../../test/support/frame-cases.ts";
import {
  checkOf,
  connectFrames,
  OPENING,
  outcomeOf,
  outcomeOfRaw,
  SERVED,
  SETTINGS,
  settings,
} from "../../test/support/http2-frames.ts";
import { encodeFrame, FLAG, FRAME, PREFACE } from "./frames.ts";

const server = echoServer();

const NO_BYTES = Buffer.alloc(0);
const LAST = checkOf(20_001, "later last");

test.each(PREFACE_CASES)("§3.4: %s", async (_what, bytes, outcome) => {
  expect(await outcomeOfRaw(server.address(), bytes)).toEqual(outcome);
});

test("§3.4: the server sends SETTINGS before it has received anything, and acknowledges the client's SETTINGS", async () => {
  const connection = await connectFrames(server.address());
  await connection.until(/^WINDOW_UPDATE/);
  expect(connection.lines).toEqual(["SETTINGS", "WINDOW_UPDATE 0 16711681"]);
  const [first] = connection.frames;
  expect(first?.payload).toEqual(settings([3, 1024]).subarray(9));
  await connection.send(OPENING);
  await connection.until("SETTINGS ACK");
  expect(connection.lines).toEqual(["SETTINGS", "WINDOW_UPDATE 0 16711681", "SETTINGS ACK"]);
  connection.socket.destroy();
});

test("§3.4: a truncated preface has no effect", async () => {
  const connection = await connectFrames(server.address());
  await connection.send(PREFACE.subarray(0, 10));
  connection.socket.end();
  await connection.closed;
  expect(connection.lines).toEqual(["SETTINGS", "WINDOW_UPDATE 0 16711681"]);
});

test.each(FRAME_CASES)("%s", async (_what, bytes, outcome) => {
  expect(await outcomeOf(server.address(), bytes)).toEqual(outcome);
});

test("§6.5.3: each SETTINGS frame is acknowledged once, and an acknowledgement is not", async () => {
  const connection = await connectFrames(server.address());
  await connection.send(
    OPENING,
    SETTINGS,
    encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NO_BYTES),
    SETTINGS,
    LAST,
  );
  await connection.until(SERVED);
  expect(connection.lines.filter((line) => line === "SETTINGS ACK")).toHaveLength(3);
  connection.socket.destroy();
});
