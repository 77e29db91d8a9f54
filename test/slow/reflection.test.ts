import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { goProgram, protoDescriptors } from "../../scripts/checkers.ts";
import { startChild } from "../../scripts/child.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import type { GrpcServer } from "../../src/grpc/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";

test("the descriptors of the listener are those of the proto files", async () => {
  const shown = readFileSync(new URL("../../proto/descriptors.pb", import.meta.url));
  expect(shown.equals(await protoDescriptors()), "run: node scripts/descriptors.ts").toBe(true);
});

describe.each(["http2", "grpc-js"] as const)(
  "grpcurl without proto files, at a listener on %s",
  (transport) => {
    let listener: GrpcServer;

    beforeAll(async () => {
      const methods = [checkMethod(() => Buffer.from([0x0a, 0x02, 0x08, 0x07]))];
      listener = await startGrpcServer({ listen: "127.0.0.1:0", methods, transport });
      listener.setServing(true);
    });

    afterAll(() => listener?.close(0));

    async function grpcurl(...args: readonly string[]): Promise<string> {
      const program = await goProgram("grpcurl");
      const [flags, words] = [args.slice(0, -1), args.slice(-1)];
      const command = words[0]?.includes("/") || words[0] === "list" ? words : ["describe", ...words];
      const child = await startChild(program, ["-plaintext", ...flags, listener.address, ...command], {
        env: {},
      });
      await child.exited;
      return child.output();
    }

    test("grpcurl lists the services", async () => {
      expect((await grpcurl("list")).trim().split("\n")).toEqual([
        "envoy.service.auth.v3.Authorization",
        "envoy.service.ratelimit.v3.RateLimitService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
      ]);
    });

    test("grpcurl finds methods and messages, with maps and imported types", async () => {
      expect(await grpcurl("envoy.service.auth.v3.AttributeContext.HttpRequest")).toContain(
        "map<string, string> headers = 3;",
      );
      expect(await grpcurl("envoy.service.auth.v3.CheckResponse")).toContain(".google.protobuf.Struct");
      expect(await grpcurl("envoy.service.auth.v3.Authorization.Check")).toContain("CheckRequest");
      for (const unknown of ["envoy.service.auth.v3.Nothing", "nowhere.Nothing"])
        expect(await grpcurl(unknown)).toMatch(/not found/i);
    });

    test("grpcurl calls the health check and a Check", async () => {
      expect(JSON.parse(await grpcurl("-d", "{}", "grpc.health.v1.Health/Check"))).toEqual({
        status: "SERVING",
      });
      const request = JSON.stringify({
        attributes: { request: { http: { method: "GET", headers: { a: "b" } } } },
      });
      const answer = await grpcurl("-d", request, "envoy.service.auth.v3.Authorization/Check");
      expect(JSON.parse(answer)).toEqual({ status: { code: 7 } });
    });
  },
);
