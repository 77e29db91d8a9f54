import { createServer } from "node:http2";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { encodeCheckResponse } from "../../src/ext-authz/check-response-encoder.ts";
import { CHECK_PATH } from "../../src/ext-authz/method.ts";
import { unaryDefinition } from "../../src/grpc/grpc-js-transport.ts";

/** A server that decides nothing: `node bare-server.ts http2|grpc-js`. Sends the same small allow for every Check. */
const ALLOW = encodeCheckResponse({ status: { code: 0 }, ok_response: {} });

const printPort = (port: number) => console.log(JSON.stringify({ port }));

if (process.argv[2] === "grpc-js") {
  const server = new Server();
  server.addService(
    { Check: unaryDefinition(CHECK_PATH) },
    {
      Check: (_call: unknown, reply: (error: null, answer: Buffer) => void) => reply(null, ALLOW),
    },
  );
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) throw error;
    printPort(port);
  });
} else {
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, ALLOW.length]), ALLOW]);
  const server = createServer();
  server.on("stream", (stream) => {
    stream.resume();
    stream.on("error", () => undefined);
    stream.on("end", () => {
      // The client may have closed the stream.
      if (stream.destroyed || stream.closed) return;
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(frame);
    });
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (typeof address === "object" && address !== null) printPort(address.port);
  });
}
