import { describe, expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { HEALTH_PATHS, REFLECTION_PATHS } from "../../src/grpc/proto.ts";
import { call, connectRaw, frame } from "../support/grpc-client.ts";
import { registerKey } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";

const POLICY = `
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true } }
routes: [{ path: /a/**, scopes: [a] }]
`;

describe.each(["http2", "grpc-js", "shadow"])(
  "without code generation from strings in Node, with GRPC_SERVER=%s",
  (server) => {
    test("the process starts, registers keys over HTTP and decides Checks", async () => {
      const latchkey = await startLatchkey(
        { NODE_OPTIONS: "--disallow-code-generation-from-strings", GRPC_SERVER: server },
        { policy: POLICY },
      );
      const session = await connectRaw(latchkey.grpc);
      const code = async (key: string) => {
        const headers = { authorization: `Bearer ${key}` };
        const http = { method: "GET", path: "/a/x", host: "x", scheme: "https", headers };
        const { body } = await call(
          session,
          frame(encodeCheckRequest({ attributes: { request: { http } } })),
        );
        return decodeCheckResponse(body.subarray(5)).status.code;
      };
      try {
        const { api_key } = await registerKey(latchkey.http);
        expect([await code(api_key), await code(`${api_key}x`)]).toEqual([0, 16]);
        for (const path of [HEALTH_PATHS.check, ...REFLECTION_PATHS]) {
          const { trailers, headers } = await call(session, frame(Buffer.alloc(0)), { ":path": path });
          expect((trailers ?? headers)["grpc-status"]).toBe("0");
        }
        expect((await fetch(`http://${latchkey.ops}/readyz`)).status).toBe(200);
        expect((await fetch(`http://${latchkey.http}/nowhere/at/all`)).status).toBe(404);
      } finally {
        session.close();
        await latchkey.stop();
      }
    });
  },
);
