import { once } from "node:events";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { checkOf, connectFrames, OPENING } from "../../test/support/http2-frames.ts";
import { createConnections } from "./connections.ts";

test("a connection that is opened while the door closes is told so, and closes", async () => {
  const connections = createConnections({
    answersFault: () => false,
    maxHeaderBytes: 1000,
    nowMs: () => performance.now(),
    onRequest: () => expect.unreachable("a call was taken"),
    maxStreams: 10,
    onFault: (error) => expect.fail(String(error)),
  });
  connections.end();
  const server = createServer(connections.add).listen(0, "127.0.0.1");
  onTestFinished(() => {
    connections.close();
    server.close();
  });
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const late = await connectFrames(`127.0.0.1:${port}`);
  await late.send(OPENING, checkOf(1, "late"));
  await late.closed;
  expect(late.lines).toContain("GOAWAY 0 NO_ERROR");
});
