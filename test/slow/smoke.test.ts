import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startChild } from "../../scripts/child.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { SMOKE_SECTIONS } from "../../src/cli/smoke/checks.ts";
import { createClient } from "../../src/client/client.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM } from "../support/program.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const OPEN_ROLES = "guards: { open_calls: 100000/s }";

/** One call that passes through a proxy, which can corrupt its response. */
interface ProxiedCall {
  readonly path: string;
  readonly token: string;
  /** How often this path was called before. */
  readonly before: number;
  status: number;
  text: string;
}
type Corrupt = (call: ProxiedCall) => void;

let latchkey: TestedLatchkey;
let upstream: Upstream;
let envoy: EnvoyProcess;
let proxy: Server;
let proxyUrl: string;
let corrupt: Corrupt = () => undefined;
let calls: Map<string, number>;

beforeAll(async () => {
  [latchkey, upstream] = await Promise.all([
    startLatchkey({ JWT_SECRET: newSecret(), ADMIN_TOKEN }, { policy: OPEN_ROLES }),
    startUpstream(),
  ]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  proxy = createServer((request, response) => void forward(request, response));
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = proxy.address();
  proxyUrl = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
});
afterAll(async () => {
  proxy?.closeAllConnections();
  proxy?.close();
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});

/** Forwards API paths to Latchkey and other paths to Envoy, and then corrupts the response. */
async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(Buffer.from(part));
  const path = request.url ?? "/";
  const target = path.startsWith("/api/") ? `http://${latchkey.http}` : `http://127.0.0.1:${envoy.port}`;
  const { authorization, "content-type": type } = request.headers;
  const upstreamResponse = await fetch(target + path, {
    method: request.method ?? "GET",
    headers: { ...(authorization && { authorization }), ...(type && { "content-type": type }) },
    body: parts.length > 0 ? Buffer.concat(parts) : null,
  });
  const before = calls.get(path) ?? 0;
  calls.set(path, before + 1);
  const reason = upstreamResponse.headers.get("x-latchkey-reason");
  const call = {
    path,
    token: authorization ?? "",
    before,
    status: upstreamResponse.status,
    text: await upstreamResponse.text(),
  };
  corrupt(call);
  response
    .writeHead(call.status, {
      "content-type": upstreamResponse.headers.get("content-type") ?? "text/plain",
      ...(reason !== null && call.status === upstreamResponse.status && { "x-latchkey-reason": reason }),
    })
    .end(call.status === 204 ? undefined : call.text);
}

async function smoke(args: readonly string[], token?: string) {
  const printed: string[] = [];
  calls = new Map();
  const program = buildProgram({
    environment: token === undefined ? {} : { LATCHKEY_TOKEN: token },
    print: (text) => void printed.push(text),
    printError: (text) => void printed.push(text),
  });
  const exitCode = await program.run(["smoke", ...args]);
  return { exitCode, output: printed.join("\n") };
}

test("a working deployment passes, in the format of the deployment guide, and no key stays", async () => {
  const args = [`http://${latchkey.http}`, "--envoy", `http://127.0.0.1:${envoy.port}`];
  const { exitCode, output } = await smoke(args, ADMIN_TOKEN);
  expect(output).not.toContain("✗");
  expect(exitCode).toBe(0);
  const rule = "=".repeat(50);
  expect(output).toBe(`API Key System Integration Test
${rule}

Testing V2 Endpoints (JWT-based System)
  ✓ PASS V2 Endpoints Available
  ✓ PASS V2 Basic Registration
  ✓ PASS V2 Validation
  ✓ PASS V2 Forged Key Rejection

Testing V2 Refresh Flow
  ✓ PASS Early Refresh Rejection
  ✓ PASS Rotation by an Operator

Testing Role-Based Permissions
  ✓ PASS Basic Role
  ✓ PASS Contributor Role
  ✓ PASS Node_Operator Role

Testing V1 Endpoints (Legacy System)
  ✓ PASS V1 Registration
  ✓ PASS V1 Validation

Testing Migration (V1 to V2)
  ✓ PASS V1 to V2 Migration
  ✓ PASS V1 Key Stays Valid

Testing Revocation
  ✓ PASS Revocation

Testing Envoy
  ✓ PASS Envoy Denies a Request Without a Key
  ✓ PASS Envoy Allows a Valid Key
  ✓ PASS Envoy Denies a Revoked Key

Test Summary
${rule}
Total Tests: 17
Passed: 17
Failed: 0

✨ All tests passed! The integration is working correctly.`);
  expect(await remainingKeys()).toEqual([]);
  expect(output).not.toMatch(/eyJ|lk1_/);
});

/** Keys that a test has registered and not revoked. */
async function remainingKeys(): Promise<readonly string[]> {
  const left: string[] = [];
  for await (const key of createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN }).keys.all())
    if (key.status !== "revoked") left.push(key.key_id);
  return left;
}

test("a working deployment passes in every phase, and a feature that the phase lacks is not a failure", async () => {
  const { migration } = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  for (const phase of ["gradual", "active", "deprecated", "removed", "silent"] as const) {
    await migration.set(phase);
    const { exitCode, output } = await smoke([`http://${latchkey.http}`], ADMIN_TOKEN);
    expect([exitCode, output]).toEqual([0, expect.stringContaining("✨ All tests passed!")]);
    expect(output.includes("– SKIP V1 Validation: no V1 key is issued")).toBe(phase === "removed");
  }
  expect(await remainingKeys()).toEqual([]);
});

test("an interrupted run ends after its current check and revokes its keys", async () => {
  const env = { ...CLEAN_ENVIRONMENT, LATCHKEY_TOKEN: ADMIN_TOKEN };
  const seen = Promise.withResolvers<void>();
  const child = await startChild(process.execPath, [PROGRAM, "smoke", `http://${latchkey.http}`], {
    env,
    onStdoutLine: (line) => line.includes("PASS V2 Basic Registration") && seen.resolve(),
  });
  await seen.promise;
  expect(await child.stop("SIGINT")).toBe(1);
  expect(child.output()).toContain("The test was interrupted. Its keys have been revoked.");
  expect(await remainingKeys()).toEqual([]);
});

test("keys that cannot be revoked afterwards are reported as a failure", async () => {
  corrupt = (call) => {
    if (call.path.endsWith("/revoke")) call.status = 503;
  };
  const { exitCode, output } = await smoke([proxyUrl], ADMIN_TOKEN);
  corrupt = () => undefined;
  expect([exitCode, output]).toEqual([
    1,
    expect.stringMatching(/\d+ keys of this test could not be revoked/),
  ]);
});

test("without a self-service role and an operator, the checks that need a key are skipped", async () => {
  const roles = ["basic", "contributor", "node_operator"].map(
    (role) => `${role}: { scopes: [a], ttl: 7d, refresh_window: 1d }`,
  );
  const closed = `roles: { ${roles.join(", ")} }\nroutes: []`;
  const own = await startLatchkey({ JWT_SECRET: newSecret(), ADMIN_TOKEN }, { policy: closed });
  const { exitCode, output } = await smoke([`http://${own.http}`, "--allow-skips"]);
  expect([exitCode, output]).toEqual([0, expect.stringContaining("Passed: 1\nFailed: 0\nSkipped: 13")]);
  await own.stop();
});

test("without an operator's token, the checks that need one are skipped, which fails without --allow-skips", async () => {
  const url = `http://${latchkey.http}`;
  const { exitCode, output } = await smoke([url]);
  expect(output).toContain(
    "– SKIP Contributor Role: only an operator can issue keys of the role contributor",
  );
  expect(output).toContain("All executed tests passed. Some tests were skipped.");
  expect([exitCode, (await smoke([url, "--allow-skips"])).exitCode]).toEqual([1, 0]);
});

test("--json prints the same result", async () => {
  const { output } = await smoke([`http://${latchkey.http}`, "--json"], ADMIN_TOKEN);
  expect(JSON.parse(output)).toMatchObject({
    passed: 14,
    failed: 0,
    skipped: 0,
    interrupted: false,
    keys_left: 0,
  });
});

test("an unreachable server fails every check, and the command ends", async () => {
  const { exitCode, output } = await smoke(["http://127.0.0.1:1"], ADMIN_TOKEN);
  expect(exitCode).toBe(1);
  expect(output).toContain("✗ FAIL V2 Basic Registration");
});

const json = (call: ProxiedCall, change: (body: Record<string, unknown>) => void) => {
  const body = JSON.parse(call.text);
  change(body);
  call.text = JSON.stringify(body);
};
const wrongRole =
  (role: string): Corrupt =>
  (call) => {
    if (call.path.endsWith("/validate") && call.text.includes(`"role":"${role}"`))
      json(call, (body) => {
        body["role"] = "another";
      });
  };
/** Accepts revoked and forged keys. */
const acceptEveryKey: Corrupt = (call) => {
  if (call.path.endsWith("/validate") && call.status === 401 && call.token !== "") {
    call.status = 200;
    call.text = JSON.stringify({ valid: true, key_id: "k", role: "basic", scopes: ["a"], expires_at: null });
  }
};

describe("each check can fail", () => {
  const faults: Readonly<Record<string, Corrupt>> = {
    "V2 Endpoints Available": (call) => {
      if (call.path.endsWith("/validate") && call.token === "") call.status = 404;
    },
    "V2 Basic Registration": (call) => {
      if (call.path.endsWith("/v2/register"))
        json(call, (body) => {
          body["api_key"] = "opaque";
        });
    },
    "V2 Validation": (call) => {
      if (call.path.endsWith("/validate") && call.status === 200)
        json(call, (body) => {
          body["key_id"] = "another";
        });
    },
    "V2 Forged Key Rejection": acceptEveryKey,
    "Early Refresh Rejection": (call) => {
      if (call.path.endsWith("/refresh")) call.status = 200;
    },
    "Rotation by an Operator": (call) => {
      if (call.path.endsWith("/rotate")) call.status = 500;
    },
    "Basic Role": wrongRole("basic"),
    "Contributor Role": wrongRole("contributor"),
    "Node_Operator Role": wrongRole("node_operator"),
    "V1 Registration": (call) => {
      if (call.path.endsWith("/register_api_key")) call.status = 500;
    },
    "V1 Validation": (call) => {
      // Only a V1 key has no expiry.
      if (call.path.endsWith("/validate") && call.text.includes('"expires_at":null')) call.status = 401;
    },
    "V1 to V2 Migration": (call) => {
      if (call.path.endsWith("/migrate"))
        json(call, (body) => {
          body["key_id"] = `basic_${call.before}`;
        });
    },
    "V1 Key Stays Valid": (call) => {
      const migrated = calls.get("/api/auth/v2/migrate") ?? 0;
      if (migrated > 0 && call.path.endsWith("/validate") && call.text.includes('"expires_at":null'))
        call.status = 401;
    },
    Revocation: acceptEveryKey,
    "Envoy Denies a Request Without a Key": (call) => {
      if (!call.path.startsWith("/api/") && call.status === 401) call.status = 200;
    },
    "Envoy Allows a Valid Key": (call) => {
      if (!call.path.startsWith("/api/") && call.status === 200) call.status = 403;
    },
    "Envoy Denies a Revoked Key": (call) => {
      if (!call.path.startsWith("/api/") && call.status === 401) call.status = 200;
    },
  };

  test("there is a fault for every check", () => {
    const names = SMOKE_SECTIONS.flatMap(({ checks }) => checks.map(({ name }) => name));
    expect(Object.keys(faults).sort()).toEqual([...names].sort());
  });

  test.each(Object.entries(faults))("%s", async (name, fault) => {
    corrupt = fault;
    const { exitCode, output } = await smoke([proxyUrl, "--envoy", proxyUrl], ADMIN_TOKEN);
    corrupt = () => undefined;
    expect(output).toContain(`✗ FAIL ${name}: `);
    expect(exitCode).toBe(1);
  });
});
