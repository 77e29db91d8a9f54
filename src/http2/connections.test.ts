import { once } from "node:events";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { checkOf, connectFrames, OPENING } from "../../test/support/http2-frames.ts";
import { createConnections } from "./connections.ts";
import { createSingleFields } from "./request-head.ts";

test("a connection that is opened while the server drains gets GOAWAY, and closes", async () => {
  const connections = createConnections({
    handlesInvalid: () => false,
    maxHeaderBytes: 1000,
    maxRequestMs: 10_000,
    singleFields: createSingleFields([]),
    nowMs: () => performance.now(),
    onRequest: () => expect.unreachable("the request was processed"),
    maxStreams: 10,
    onFault: (error) => expect.fail(String(error)),
  });
  connections.drain();
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
