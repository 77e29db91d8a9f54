import { unlink } from "node:fs/promises";
import { expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { call, connectRaw, frame } from "../support/grpc-client.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import { replaceFile } from "../support/replace-file.ts";

const POLICY = "routes: [{ path: /open, public: true }]";
const OPEN = { method: "GET", path: "/open", host: "x", scheme: "https" };

test.each(["http2", "grpc-js"])(
  "with GRPC_SERVER=%s, an instance whose socket file was replaced is not ready until it listens there again",
  async (server) => {
    const listen = await newSocket();
    const path = listen.slice("unix:".length);
    const told = { failed: Promise.withResolvers<void>(), healed: Promise.withResolvers<void>() };
    const latchkey = await startLatchkey(
      { GRPC_LISTEN: listen, GRPC_SERVER: server },
      {
        policy: POLICY,
        onLogLine(line) {
          if (line.includes("Unix socket was removed or replaced")) told.failed.resolve();
          if (line.includes("listens at its Unix socket again")) told.healed.resolve();
        },
      },
    );
    const readyz = async () => (await fetch(`http://${latchkey.ops}/readyz`)).status;
    const before = await connectRaw(listen);
    const code = async (session: typeof before) => {
      const { body } = await call(
        session,
        frame(encodeCheckRequest({ attributes: { request: { http: OPEN } } })),
      );
      return decodeCheckResponse(body.subarray(5)).status.code;
    };
    try {
      expect([await readyz(), await code(before)]).toEqual([200, 0]);
      await replaceFile(path, "");
      await told.failed.promise;
      expect([await readyz(), await code(before)]).toEqual([503, 0]);
      await unlink(path);
      await told.healed.promise;
      const after = await connectRaw(listen);
      expect([await readyz(), await code(after)]).toEqual([200, 0]);
      // grpc-js sends GOAWAY to its clients when it listens again.
      if (server === "http2") expect(await code(before)).toBe(0);
      after.close();
    } finally {
      before.close();
      expect(await latchkey.stop()).toBe(0);
    }
  },
);
