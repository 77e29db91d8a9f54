import { createServer } from "node:http2";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { encodeCheckResponse } from "../../src/ext-authz/check-response-encoder.ts";
import { AUTHORIZATION_SERVICE } from "../../src/grpc/proto.ts";

/** A server that decides nothing: `node bare-server.ts http2|grpc-js`. Sends the same small allow for every Check. */
const ALLOW = encodeCheckResponse({ status: { code: 0 }, ok_response: {} });

const printPort = (port: number) => console.log(JSON.stringify({ port }));

if (process.argv[2] === "grpc-js") {
  const server = new Server();
  server.addService(AUTHORIZATION_SERVICE, {
    Check: (_call: unknown, reply: (error: null, response: Buffer) => void) => reply(null, ALLOW),
  });
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
