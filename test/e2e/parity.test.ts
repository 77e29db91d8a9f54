import { readdirSync, readFileSync } from "node:fs";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isSeq } from "yaml";
import type { Authorize } from "../../src/core/decision/authorize.ts";
import { createAuthorize } from "../../src/core/decision/authorize.ts";
import { DENIALS, DENY_REASONS, deny } from "../../src/core/decision/decision.ts";
import { sentRequest } from "../../src/core/decision/described-request.ts";
import { createCheck } from "../../src/ext-authz/check.ts";
import type { CheckPorts } from "../../src/ext-authz/decide.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import { createForwardCheck } from "../../src/forward-auth/forward-check.ts";
import { startForwardAuthServer } from "../../src/forward-auth/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import type { DecisionCase } from "../../src/policy/cases.ts";
import { parseCases } from "../../src/policy/cases.ts";
import type { PreparedCases } from "../../src/server/policy-trial/case-runner.ts";
import { describedCase, prepareCases } from "../../src/server/policy-trial/case-runner.ts";
import type { TestedCertificate } from "../support/certificates.ts";
import { createCa } from "../support/certificates.ts";
import { EXT_AUTHZ, HTTP_MANAGER } from "../support/envoy.ts";
import type { ForwardProxy, ForwardProxyOptions } from "../support/forward-proxies.ts";
import { startCaddy, startEnvoyProxy, startNginx, startTraefik } from "../support/forward-proxies.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";
import type { RawAnswer } from "../support/raw-request.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const folder = new URL("../cases/", import.meta.url);
const policy = parsedPolicy(readFileSync(new URL("policy.yaml", folder), "utf8"));

/** What only the gRPC API can describe: Envoy's `context_extensions` and the client's certificate. */
const isForAll = ({ request }: DecisionCase) =>
  typeof request === "string" || (request.extensions === undefined && request.certificate === undefined);

const FILES = readdirSync(folder).filter((name) => name.endsWith(".cases.yaml"));
const FILE_OF = new Map<DecisionCase, PreparedCases>();
const CASES: DecisionCase[] = [];
for (const name of FILES) {
  const file = parseCases(readFileSync(new URL(name, folder), "utf8"), name);
  if (!file.ok) throw new Error(file.problems.join("\n"));
  const prepared = await prepareCases(file.file, policy);
  for (const decisionCase of file.file.cases.filter(isForAll)) {
    CASES.push(decisionCase);
    FILE_OF.set(decisionCase, prepared);
  }
}

let upstream: Upstream;
let certificate: TestedCertificate;
/** Decides as the current case says. */
let authorize: Authorize;
let addressOfCase: string;
/** The client's addresses that the proxy reported. It is always the test's own, so each case gets its address here. */
const reported = new Set<string>();
const closes: (() => Promise<unknown>)[] = [];
let grpc: string;
let auth: string;

beforeAll(async () => {
  upstream = await startUpstream();
  closes.push(upstream.stop);
  certificate = await (await createCa()).issue("localhost");
  const fail = (error: unknown) => {
    throw error;
  };
  let decisions = 0;
  const ports: CheckPorts = {
    policy: () => policy,
    authorize(request, nowMs) {
      reported.add(request.peerAddress);
      return authorize({ ...request, peerAddress: addressOfCase }, nowMs);
    },
    nowMs: () => nowMs,
    monotonicNs: () => 0n,
    newDecisionId: () => `decision-${++decisions}`,
    onDecision: () => undefined,
    onFault: fail,
    onUndecodable: () => undefined,
  };
  const onFault = fail;
  const grpcServer = await startGrpcServer({
    listen: "127.0.0.1:0",
    methods: [checkMethod(createCheck(ports))],
    onFault,
  });
  closes.push(() => grpcServer.close(0));
  grpc = grpcServer.address;
  const authServer = await startForwardAuthServer({
    listen: { host: "127.0.0.1", port: 0 },
    check: createForwardCheck(ports, { trustedHops: 1 }),
    onAnswer: () => undefined,
    onFault,
  });
  closes.push(() => authServer.close(0));
  auth = authServer.address;
});

afterAll(() => Promise.all(closes.map((close) => close())));

let nowMs = 0;

type Start = (options: ForwardProxyOptions) => Promise<ForwardProxy>;

/** Envoy leaves paths unchanged, so that Latchkey sees what the case says, and passes the cookie. */
const startEnvoyExample =
  (example: "http-service" | "sidecar", target: () => string): Start =>
  (options) =>
    startEnvoyProxy(example, { ...options, auth: target() }, (bootstrap) => {
      for (const name of ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action"])
        bootstrap.deleteIn([...HTTP_MANAGER, name]);
      const patterns = bootstrap.getIn([...EXT_AUTHZ, "allowed_headers", "patterns"]);
      if (isSeq(patterns)) patterns.add(bootstrap.createNode({ exact: "cookie" }));
      const allowed = [...EXT_AUTHZ, "decoder_header_mutation_rules", "allow_expression", "regex"];
      bootstrap.setIn(allowed, `${bootstrap.getIn(allowed)}|cookie`);
    });

const PROXIES: readonly (readonly [name: string, start: Start])[] = [
  ["gRPC behind Envoy", startEnvoyExample("sidecar", () => grpc)],
  ["/envoy/ behind Envoy", startEnvoyExample("http-service", () => auth)],
  ["/original behind nginx", startNginx],
  ["/forward behind Caddy", startCaddy],
  ["/forward behind Traefik", (options) => startTraefik(options, false)],
];

const statusOf = (wanted: string) => {
  const reason = DENY_REASONS.find((known) => known === wanted);
  return reason && DENIALS[reason].status;
};

describe.each(PROXIES)("%s", (name, start) => {
  let [clear, encrypted]: ForwardProxy[] = [];
  const agents = {
    http: new HttpAgent({ keepAlive: true }),
    https: new HttpsAgent({ keepAlive: true, rejectUnauthorized: false }),
  };

  beforeAll(async () => {
    authorize = () => deny("internal");
    reported.clear();
    const options = { auth, service: `127.0.0.1:${upstream.port}` };
    [clear, encrypted] = await Promise.all([start(options), start({ ...options, tls: certificate })]);
  });

  afterAll(async () => {
    for (const agent of Object.values(agents)) agent.destroy();
    await Promise.all([clear?.stop(), encrypted?.stop()]);
  });

  async function send(decisionCase: DecisionCase, { tokens }: PreparedCases): Promise<RawAnswer> {
    const { method, host, scheme, path, headers } = sentRequest(describedCase(decisionCase, tokens), policy);
    const isTls = scheme === "https";
    return sendRaw((isTls ? encrypted : clear)?.port ?? 0, {
      method,
      path,
      headers: { host, ...Object.fromEntries(headers) },
      agent: agents[isTls ? "https" : "http"],
      ...(isTls && { tls: { servername: "localhost" } }),
    });
  }

  test.each(CASES.map((decisionCase) => [decisionCase.name, decisionCase] as const))(
    "case: %s",
    async (_case, decisionCase) => {
      const prepared = FILE_OF.get(decisionCase);
      if (prepared === undefined) throw new Error("a case without a file");
      nowMs = prepared.nowMs;
      authorize = createAuthorize(prepared.portsOf(decisionCase));
      const { request, expect: wanted, after = 0, mode } = decisionCase;
      addressOfCase = (typeof request === "string" ? undefined : request.address) ?? "192.0.2.1";
      for (let sent = 0; sent < after; sent++) await send(decisionCase, prepared);
      const before = upstream.requests.length;
      const answer = await send(decisionCase, prepared);
      const reached = upstream.requests.length - before;
      if (wanted === "allowed" || mode === "shadow") {
        expect([answer.status, reached, answer.headers["x-latchkey-reason"]]).toEqual([200, 1, undefined]);
        return;
      }
      expect(reached).toBe(0);
      const found = { reason: answer.headers["x-latchkey-reason"], status: answer.status };
      const status = statusOf(wanted);
      // A proxy may deny what is malformed by itself. For Envoy's HTTP service a 503 is an error, of which it passes nothing on.
      const isWithoutReason =
        wanted === "request_malformed" || (name.startsWith("/envoy/") && status === 503);
      if (found.reason === undefined && isWithoutReason) expect(found.status).toBe(status);
      else expect(found).toEqual({ reason: wanted, status });
    },
  );

  test("the client's address is the one that the proxy sees", () => {
    // Envoy's HTTP service sends X-Forwarded-For, in which Envoy has its own address for a client on loopback.
    const own = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
    const [address = "none"] = reported;
    expect(reported.size).toBe(1);
    expect(name.startsWith("/envoy/") ? own : ["127.0.0.1"]).toContain(address);
  });
});
