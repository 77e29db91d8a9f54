import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { Agent, request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { ANYONE } from "../../src/api/http/access.ts";
import { openEndpoint } from "../../src/api/http/endpoint.ts";
import { startHttpServer } from "../../src/api/http/server.ts";
import type { ListenerTls } from "../../src/config/certificates.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import { startForwardAuthServer } from "../../src/forward-auth/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import type { TestedCa, TestedCertificate } from "../support/certificates.ts";
import { createCa } from "../support/certificates.ts";

/** A certificate that a test changes. */
interface Shown extends ListenerTls {
  show(certificate: TestedCertificate): void;
}

interface OpenDoor {
  readonly port: number;
  /** One call on its own connection; the outcome, in a word. */
  ask(options: ConnectionOptions): Promise<string>;
  /** Repeated calls on one connection. */
  keepAsking(options: ConnectionOptions): Promise<{ ask(): Promise<string>; end(): void }>;
}

let ca: TestedCa;
let untrusted: TestedCertificate;
let [first, second, client]: TestedCertificate[] = [];
const closes: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const other = await createCa("another authority");
  ca = await createCa();
  [first, second, client, untrusted] = await Promise.all([
    ca.issue("first"),
    ca.issue("second"),
    ca.issue("client"),
    other.issue("client"),
  ]);
});

afterEach(async () => {
  await Promise.all(closes.splice(0).map((close) => close()));
});

function shown(certificate: TestedCertificate | undefined, clientCa?: string): Shown {
  const listeners = new Set<() => void>();
  if (certificate === undefined) throw new Error("made by beforeAll");
  let { cert, key } = certificate;
  return {
    current: () => ({ cert, key, ...(clientCa !== undefined && { clientCa }) }),
    onChange(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    show(next) {
      ({ cert, key } = next);
      for (const changed of listeners) changed();
    },
  };
}

const portOf = (address: string) => Number(address.split(":").at(-1));

const METHODS = [checkMethod(() => new Uint8Array())];

async function openGrpc(tls: ListenerTls): Promise<OpenDoor> {
  const server = await startGrpcServer({ listen: "127.0.0.1:0", methods: METHODS, tls });
  closes.push(() => server.close(1000));
  const port = portOf(server.address);
  const keepAsking = async (options: ConnectionOptions) => {
    const session = connectHttp2(`https://localhost:${port}`, options);
    await once(session, "connect");
    // With TLS 1.3 a client is connected before it learns that its certificate was rejected.
    session.on("error", () => undefined);
    const ask = async () => {
      const stream = session.request({
        ":method": "POST",
        ":path": "/envoy.service.auth.v3.Authorization/Check",
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.end(Buffer.alloc(5));
      stream.resume();
      let status: unknown = "refused";
      stream.on("trailers", (trailers) => {
        status = trailers["grpc-status"] === "0" ? "answered" : "failed";
      });
      await once(stream, "close");
      return String(status);
    };
    return { ask, end: () => session.destroy() };
  };
  return { port, keepAsking, ask: (options) => askOnce(keepAsking(options)) };
}

async function openHttp(tls: ListenerTls): Promise<OpenDoor> {
  const hello = openEndpoint({
    method: "GET",
    path: "/hello",
    summary: "",
    access: ANYONE,
    response: { status: 204, description: "" },
    handle: async ({ reply }) => reply.code(204).send(),
  });
  const listen = { host: "127.0.0.1", port: 0 };
  const server = await startHttpServer({ listen, endpoints: [hello], onFault: () => undefined, tls });
  closes.push(() => server.close(1000));
  return httpsDoor(portOf(server.address), "/hello", 204);
}

async function openAuth(tls: ListenerTls): Promise<OpenDoor> {
  const server = await startForwardAuthServer({
    listen: { host: "127.0.0.1", port: 0 },
    check: () => ({ status: { code: 0 }, ok_response: {} }),
    onAnswer: () => undefined,
    onFault: () => undefined,
    tls,
  });
  closes.push(() => server.close(1000));
  return httpsDoor(portOf(server.address), "/forward", 200);
}

function httpsDoor(port: number, path: string, status: number): OpenDoor {
  const keepAsking = async (options: ConnectionOptions) => {
    const agent = new Agent({ ...options, keepAlive: true, maxSockets: 1 });
    const ask = async () => {
      const request = httpsRequest({ host: "localhost", port, path, agent }).end();
      const [response]: unknown[] = await once(request, "response");
      const { statusCode, resume } = z
        .object({ statusCode: z.number(), resume: z.unknown() })
        .parse(response);
      if (typeof resume === "function") resume.call(response);
      return statusCode === status ? "answered" : "failed";
    };
    return { ask, end: () => agent.destroy() };
  };
  return { port, keepAsking, ask: (options) => askOnce(keepAsking(options)) };
}

async function askOnce(client: ReturnType<OpenDoor["keepAsking"]>): Promise<string> {
  try {
    const { ask, end } = await client;
    return await ask().finally(end);
  } catch {
    return "refused";
  }
}

/** The subject of the certificate that a new connection gets. */
async function nameShown(port: number): Promise<string> {
  const socket = connectTls({ port, host: "localhost", ca: ca.cert });
  await once(socket, "secureConnect");
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return String(CN);
}

const listeners = [
  ["gRPC", openGrpc],
  ["HTTP", openHttp],
  ["forward-auth", openAuth],
] as const;

test.each(listeners)(
  "the %s listener serves a changed certificate to new connections while old ones continue",
  async (_name, open) => {
    const tls = shown(first);
    const listener = await open(tls);
    expect(await listener.ask({ ca: ca.cert })).toBe("answered");
    expect(await listener.ask({})).toBe("refused");
    const old = await listener.keepAsking({ ca: ca.cert });
    expect(await old.ask()).toBe("answered");
    expect(await nameShown(listener.port)).toBe("first");
    if (second) tls.show(second);
    expect(await nameShown(listener.port)).toBe("second");
    expect(await old.ask()).toBe("answered");
    old.end();
  },
);

test.each(listeners)(
  "the %s listener accepts clients with a certificate of its CA, and no others",
  async (_name, open) => {
    const listener = await open(shown(first, ca.cert));
    const known = { ca: ca.cert, cert: client?.cert, key: client?.key };
    expect(await listener.ask(known)).toBe("answered");
    expect(await listener.ask({ ca: ca.cert })).toBe("refused");
    expect(await listener.ask({ ca: ca.cert, cert: untrusted.cert, key: untrusted.key })).toBe("refused");
  },
);

test.each([
  ["gRPC", openGrpc, 1024],
  ["HTTP", openHttp, 8192],
] as const)(
  "the %s listener serves clients with a certificate at once while its maximum of other clients has open handshakes",
  async (_name, open, places) => {
    const listener = await open(shown(first, ca.cert));
    const known = { ca: ca.cert, cert: client?.cert, key: client?.key };
    const before = await listener.keepAsking(known);
    expect(await before.ask()).toBe("answered");
    const idle = Array.from({ length: places + 100 }, () =>
      connect({ host: "127.0.0.1", port: listener.port }),
    );
    for (const socket of idle) socket.on("error", () => undefined);
    await Promise.all(idle.map((socket) => socket.connecting && once(socket, "connect")));
    // The earlier connection continues, and new ones are accepted.
    expect(await before.ask()).toBe("answered");
    for (let clients = 0; clients < 5; clients++) expect(await listener.ask(known)).toBe("answered");
    before.end();
    for (const socket of idle) socket.destroy();
  },
);

test("a client that connects to the gRPC listener without a handshake does not delay its shutdown", async () => {
  const server = await startGrpcServer({
    listen: "127.0.0.1:0",
    methods: METHODS,
    tls: shown(first),
  });
  const mute = connect({ host: "127.0.0.1", port: portOf(server.address) });
  mute.on("error", () => undefined);
  await once(mute, "connect");
  const ended = once(mute, "close");
  await server.close(50);
  await ended;
});
