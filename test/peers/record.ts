import { writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { Client, credentials } from "@grpc/grpc-js";
import { goProgram, grpcForPython } from "../../scripts/checkers.ts";
import { run } from "../../scripts/run.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import { FRAME_HEAD_BYTES, PREFACE } from "../../src/http2/frames.ts";
import { startEnvoy } from "../support/envoy.ts";
import { CHECK_PATH } from "../support/grpc-client.ts";

/** Records what real clients send for a call or two, into test/peers/recordings. The tests mutate the recordings. */
const SERVICE_AND_METHOD = CHECK_PATH.slice(1);

const CLIENTS: Readonly<Record<string, (port: number) => Promise<unknown>>> = {
  async envoy(authzPort) {
    const envoy = await startEnvoy({ authzPort, upstreamPort: authzPort });
    try {
      for (const path of ["/one", "/two"])
        await fetch(`http://127.0.0.1:${envoy.port}${path}`, {
          headers: { authorization: "Bearer example" },
        });
    } finally {
      await envoy.stop();
    }
  },
  async "grpc-js"(port) {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const call = (text: string) =>
      new Promise<void>((resolve) => {
        const bytes = (value: Buffer) => value;
        client.makeUnaryRequest(CHECK_PATH, bytes, bytes, Buffer.from(text), () => resolve());
      });
    await call("one");
    await call("two");
    client.close();
  },
  async grpcio(port) {
    const script = `import grpc
with grpc.insecure_channel("127.0.0.1:${port}") as channel:
    for text in (b"one", b"two"):
        channel.unary_unary("${CHECK_PATH}")(text, timeout=30)`;
    await run("python3", ["-c", script], { env: { PYTHONPATH: await grpcForPython() } });
  },
  async "grpc-go"(port) {
    const descriptors = fileURLToPath(new URL("../../proto/descriptors.pb", import.meta.url));
    const request = '{"attributes":{"request":{"http":{"path":"/one"}}}}';
    const args = ["-plaintext", "-protoset", descriptors, "-d", request, `127.0.0.1:${port}`];
    await run(await goProgram("grpcurl"), [...args, SERVICE_AND_METHOD]);
  },
};

const OK = Buffer.from("0a00", "hex");
for (const [name, call] of Object.entries(CLIENTS)) {
  const server = await startGrpcServer({ listen: "127.0.0.1:0", methods: [checkMethod(() => OK)] });
  const recorder = await startRecorder(Number(server.address.split(":").at(-1)));
  await call(recorder.port);
  await writeFile(new URL(`recordings/${name}.hex`, import.meta.url), linesOf(recorder.recorded()));
  await recorder.close();
  await server.close(0);
}
process.exit(0);

/** Relays connections, and keeps the bytes of the client that has sent the most. */
async function startRecorder(target: number) {
  const recordings: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const relay = createServer((client) => {
    const recording: Buffer[] = [];
    recordings.push(recording);
    const server = connect(target, "127.0.0.1");
    for (const socket of [client, server]) sockets.add(socket.on("error", () => undefined));
    client.on("data", (bytes) => recording.push(bytes));
    client.pipe(server).pipe(client);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", () => resolve()));
  const address = relay.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    recorded: () =>
      recordings
        .map((recording) => Buffer.concat(recording))
        .reduce((most, bytes) => (bytes.length > most.length ? bytes : most)),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => relay.close(resolve));
    },
  };
}

/** The preface, and one line for each frame. */
function linesOf(bytes: Buffer): string {
  const lines = [bytes.subarray(0, PREFACE.length)];
  for (let at = PREFACE.length, end = at; at + FRAME_HEAD_BYTES <= bytes.length; at = end) {
    end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
    if (end <= bytes.length) lines.push(bytes.subarray(at, end));
  }
  return lines.map((line) => `${line.toString("hex")}\n`).join("");
}
