import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { grpcForPython } from "../../scripts/checkers.ts";
import { startChild } from "../../scripts/child.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import { createCa } from "../support/certificates.ts";

const SCRIPT = fileURLToPath(new URL("../support/grpc_calls.py", import.meta.url));
const SERVING = "0801";

function echo(message: Uint8Array | undefined): Uint8Array | Promise<Uint8Array> {
  if (message === undefined) return Buffer.from("denied");
  return Buffer.from(message).toString() === "never" ? new Promise(() => undefined) : message;
}

/** The results of Google's gRPC client, in C and with its own HTTP/2, at a server that echoes the message of a Check. */
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

test.each(["in clear text", "over mTLS"])("Google's gRPC client gets every response, %s", async (how) => {
  const ca = await createCa();
  const [server, client] = await Promise.all([ca.issue("server"), ca.issue("client")]);
  const current = () => ({ cert: server.cert, key: server.key, clientCa: ca.cert });
  const listener = await startGrpcServer({
    listen: "127.0.0.1:0",
    methods: [checkMethod(echo)],
    ...(how === "over mTLS" && { tls: { current, onChange: () => () => undefined } }),
  });
  listener.setServing(true);
  const files = how === "over mTLS" ? [ca.certFile, client.certFile, client.keyFile] : [];
  try {
    expect(await callsOf(listener.address, files)).toEqual({
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
    await listener.close(0);
  }
});
