import { afterAll, beforeAll, expect } from "vitest";
import { checkMethod } from "../../src/ext-authz/method.ts";
import type { GrpcServer } from "../../src/grpc/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";

/** Returns the message itself, after a turn of the event loop if it begins with "later". */
export function echo(message: Uint8Array | undefined): Uint8Array | Promise<Uint8Array> {
  const response = message ?? Buffer.from("denied");
  if (!Buffer.from(response).toString("latin1").startsWith("later")) return response;
  return new Promise((resolve) => setImmediate(() => resolve(response)));
}

/** A server that echoes the message of a Check, for all tests of a file. At the end it must have had no fault. */
export function echoServer(): { readonly address: () => string } {
  let server: GrpcServer;
  const faults: unknown[] = [];
  beforeAll(async () => {
    server = await startGrpcServer({
      listen: "127.0.0.1:0",
      methods: [checkMethod(echo)],
      onFault: (error) => faults.push(error),
    });
  });
  afterAll(async () => {
    await server.close(0);
    expect(faults).toEqual([]);
  });
  return { address: () => server.address };
}
