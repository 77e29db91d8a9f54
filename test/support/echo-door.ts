import { afterAll, beforeAll, expect } from "vitest";
import type { GrpcServer } from "../../src/grpc/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";

/** Answers with the message itself, and later what says so. */
export function echo(message: Uint8Array | undefined): Uint8Array | Promise<Uint8Array> {
  const answer = message ?? Buffer.from("denied");
  if (!Buffer.from(answer).toString("latin1").startsWith("later")) return answer;
  return new Promise((resolve) => setImmediate(() => resolve(answer)));
}

/** A door that answers a Check by its own message, for all tests of a file. Whatever they send, it has no fault. */
export function echoDoor(): { readonly address: () => string } {
  let server: GrpcServer;
  const faults: unknown[] = [];
  beforeAll(async () => {
    server = await startGrpcServer({
      listen: "127.0.0.1:0",
      check: echo,
      faulted: (error) => faults.push(error),
    });
  });
  afterAll(async () => {
    await server.close(0);
    expect(faults).toEqual([]);
  });
  return { address: () => server.address };
}
