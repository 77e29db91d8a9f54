import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import type { NetConnectOpts, Socket } from "node:net";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions } from "node:tls";
import { connect as connectTls } from "node:tls";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { removeAtEnd } from "../../test/support/at-end.ts";
import type { TestedCa, TestedCertificate } from "../../test/support/certificates.ts";
import { createCa } from "../../test/support/certificates.ts";
import { memorySocket } from "../../test/support/memory-socket.ts";
import { freePort } from "../../test/support/redis.ts";
import type { ListenerOptions, TlsSource } from "./listener.ts";
import { openListener } from "./listener.ts";

/** An open listener, and what it has called. The test closes it. */
async function open(listen: string, options: Partial<ListenerOptions> = {}) {
  const accepted: Socket[] = [];
  const connections: Socket[] = [];
  const faults: unknown[] = [];
  let arrived = Promise.withResolvers<Socket>();
  const { server, port } = await openListener({
    listen,
    maxConnections: 10,
    onAccept: (socket) => accepted.push(socket),
    onConnection(socket) {
      connections.push(socket);
      socket.on("error", () => undefined);
      arrived.resolve(socket);
    },
    onFault: (error) => faults.push(error),
    ...options,
  });
  onTestFinished(() => {
    server.close();
    for (const socket of [...accepted, ...connections]) socket.destroy();
  });
  return {
    server,
    port,
    accepted,
    connections,
    faults,
    async nextConnection() {
      const socket = await arrived.promise;
      arrived = Promise.withResolvers();
      return socket;
    },
  };
}

/** Connects in clear text, and expects a connection. */
async function expectReachable(listener: Awaited<ReturnType<typeof open>>, to: NetConnectOpts) {
  const client = connect(to);
  await Promise.all([once(client, "connect"), listener.nextConnection()]);
  client.destroy();
  expect([listener.accepted.length, listener.connections.length]).toEqual([1, 1]);
}

test.each(["127.0.0.1", "[::1]"])("a listener on %s takes a free port for port 0", async (host) => {
  const listener = await open(`${host}:0`);
  expect(listener.port).toBeGreaterThan(0);
  await expectReachable(listener, { host: host.replace(/[[\]]/g, ""), port: listener.port });
});

test("a listener has the port of its address", async () => {
  const port = await freePort();
  const listener = await open(`127.0.0.1:${port}`);
  expect(listener.port).toBe(port);
  await expectReachable(listener, { host: "127.0.0.1", port });
});

test("a listener on a Unix socket has its path, and port 0", async () => {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-listener-"));
  removeAtEnd(folder);
  const path = join(folder, "grpc.sock");
  const listener = await open(`unix:${path}`);
  expect(listener.port).toBe(0);
  await expectReachable(listener, { path });
});

test("an address that another process uses is an error of the opening, and not a fault", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(() => void other.close());
  const address = other.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const faults: unknown[] = [];
  const onFault = (error: unknown) => faults.push(error);
  await expect(open(`127.0.0.1:${port}`, { onFault })).rejects.toMatchObject({ code: "EADDRINUSE" });
  expect(faults).toEqual([]);
});

test("a later error of an open listener is a fault, and does not end the process", async () => {
  const { server, faults } = await open("127.0.0.1:0");
  const error = new Error("too many open files");
  server.emit("error", error);
  expect(faults).toEqual([error]);
});

test("a listener that is full closes a further connection at once", async () => {
  const listener = await open("127.0.0.1:0", { maxConnections: 1 });
  const first = connect(listener.port, "127.0.0.1");
  await listener.nextConnection();
  const second = connect(listener.port, "127.0.0.1").on("error", () => undefined);
  await once(second, "close");
  expect([listener.connections.length, first.destroyed]).toEqual([1, false]);
  first.destroy();
});

let ca: TestedCa;
let first: TestedCertificate;
let second: TestedCertificate;
let untrusted: TestedCertificate;

beforeAll(async () => {
  [ca, untrusted] = await Promise.all([createCa(), createCa("another authority")]);
  [first, second] = await Promise.all([ca.issue("first"), ca.issue("second")]);
});

/** A source whose certificates a test changes. */
function source(clientCa?: string) {
  let shown = { cert: first.cert, key: first.key, ...(clientCa !== undefined && { clientCa }) };
  const subscribers = new Set<() => void>();
  const tls: TlsSource = {
    current: () => shown,
    onChange(changed) {
      subscribers.add(changed);
      return () => subscribers.delete(changed);
    },
  };
  return {
    tls,
    subscribers,
    show(next: Partial<typeof shown>) {
      shown = { ...shown, ...next };
      for (const changed of subscribers) changed();
    },
  };
}

const H2 = ["h2"];

/** The name in the certificate of the server, or "closed" if a handshake or the connection fails. */
async function handshake(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({ port, host: "localhost", ca: ca.cert, ALPNProtocols: H2, ...options });
  onTestFinished(() => void socket.destroy());
  // A client of TLS 1.3 is connected before the server has checked its certificate. The server sends one byte then.
  return new Promise((resolve) => {
    socket.on("error", () => undefined);
    socket.once("close", () => resolve("closed"));
    socket.once("data", () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
  });
}

const greet = { onConnection: (socket: Socket) => void socket.on("error", () => undefined).write("!") };

test("RFC 9113 §3.2: with TLS, a connection must negotiate h2, in TLS 1.2 or later", async () => {
  const { port, accepted } = await open("127.0.0.1:0", { tls: source().tls, ...greet });
  const outcomes: readonly (readonly [options: ConnectionOptions, outcome: string])[] = [
    [{}, "first"],
    [{ ALPNProtocols: ["http/1.1", "h2"] }, "first"],
    [{ maxVersion: "TLSv1.2" }, "first"],
    [{ ALPNProtocols: ["http/1.1"] }, "closed"],
    [{ ALPNProtocols: [] }, "closed"],
    [{ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }, "closed"],
  ];
  for (const [options, outcome] of outcomes) expect(await handshake(port, options)).toBe(outcome);
  // Below TLS, each of them was a connection.
  expect(accepted.length).toBe(outcomes.length);
});

test("bytes that are no handshake close their connection", async () => {
  const { port, connections } = await open("127.0.0.1:0", { tls: source().tls });
  const client = connect(port, "127.0.0.1").on("error", () => undefined);
  client.resume().write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await once(client, "close");
  expect(connections).toEqual([]);
});

test("a connection whose handshake fails or takes too long is closed", async () => {
  const { server } = await open("127.0.0.1:0", { tls: source().tls });
  const { socket } = memorySocket({ onSent: () => undefined });
  // Node reports both in this way, and closes only some of them itself.
  server.emit("tlsClientError", new Error("TLS handshake timeout"), socket);
  expect(socket.destroyed).toBe(true);
});

test("responses are sent without the delay of Nagle's algorithm, with TLS and without", async () => {
  for (const tls of [{ tls: source().tls }, {}]) {
    const { server } = await open("127.0.0.1:0", tls);
    expect(Reflect.get(server, "noDelay")).toBe(true);
  }
});

test("a changed certificate is shown to new connections, and still not below TLS 1.2", async () => {
  const { tls, show } = source();
  const { port } = await open("127.0.0.1:0", { tls, ...greet });
  expect(await handshake(port, {})).toBe("first");
  show(second);
  expect(await handshake(port, {})).toBe("second");
  const old: ConnectionOptions = {
    minVersion: "TLSv1",
    maxVersion: "TLSv1.1",
    ciphers: "DEFAULT@SECLEVEL=0",
  };
  expect(await handshake(port, old)).toBe("closed");
});

test("with a client CA, a client needs a certificate that this CA issued; the CA may change, too", async () => {
  const { tls, show } = source(ca.cert);
  const { port } = await open("127.0.0.1:0", { tls, ...greet });
  const known = { cert: second.cert, key: second.key };
  const other = { cert: untrusted.cert, key: untrusted.key };
  const outcomes = async () => [
    await handshake(port, known),
    await handshake(port, {}),
    await handshake(port, other),
  ];
  expect(await outcomes()).toEqual(["first", "closed", "closed"]);
  show({ clientCa: untrusted.cert });
  expect(await outcomes()).toEqual(["closed", "closed", "first"]);
});

test("without a client CA, a client needs no certificate, and a CA that appears later is not used", async () => {
  const { tls, show } = source();
  const { port } = await open("127.0.0.1:0", { tls, ...greet });
  show({ clientCa: ca.cert });
  expect(await handshake(port, {})).toBe("first");
});

test("a listener that closes no longer waits for changes of its certificate", async () => {
  const { tls, subscribers } = source();
  const { server } = await open("127.0.0.1:0", { tls });
  expect(subscribers.size).toBe(1);
  server.close();
  await once(server, "close");
  expect(subscribers.size).toBe(0);
});
