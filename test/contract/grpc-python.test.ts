import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { grpcForPython } from "../../scripts/checkers.ts";
import { startChild } from "../../scripts/child.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import { createCa } from "../support/certificates.ts";

const SCRIPT = fileURLToPath(new URL("../support/grpc_calls.py", import.meta.url));
const SERVING = "0801";

/** What Google's gRPC, in C and with an HTTP/2 of its own, is told by a door that gives back what it gets. */
async function callsOf(target: string, tlsFiles: readonly string[]): Promise<unknown> {
  const env = { ...process.env, PYTHONPATH: await grpcForPython() };
  const lines: string[] = [];
  const child = await startChild("python3", [SCRIPT, target, ...tlsFiles], {
    env,
    onStdoutLine: (line) => lines.push(line),
  });
  if ((await child.exited) !== 0) throw new Error(child.output());
  return JSON.parse(lines.join("\n"));
}

test.each(["in clear text", "by mTLS"])("Google's gRPC understands the door, %s", async (how) => {
  const ca = await createCa();
  const [shown, client] = await Promise.all([ca.issue("door"), ca.issue("client")]);
  const current = () => ({ cert: shown.cert, key: shown.key, clientCa: ca.cert });
  const server = await startGrpcServer({
    listen: "127.0.0.1:0",
    check(message) {
      if (message === undefined) return Buffer.from("denied");
      return Buffer.from(message).toString() === "never" ? new Promise(() => undefined) : message;
    },
    ...(how === "by mTLS" && { tls: { current, onChange: () => () => undefined } }),
  });
  server.setServing(true);
  const files = how === "by mTLS" ? [ca.certFile, client.certFile, client.keyFile] : [];
  try {
    expect(await callsOf(server.address, files)).toEqual({
      sizes: [0, 1, 1000, 70_000, 250_000],
      many: true,
      late: "DEADLINE_EXCEEDED",
      compressed: "denied",
      oversized: "denied",
      unknown: "UNIMPLEMENTED",
      health: SERVING,
      watch: SERVING,
    });
  } finally {
    await server.close(0);
  }
});
