import { once } from "node:events";
import { copyFile, mkdtemp } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { TestedCa, TestedCertificate } from "../support/certificates.ts";
import { createCa, replaceCertificate } from "../support/certificates.ts";
import { startExample } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const POLICY = `
roles: { basic: { scopes: [a:read], ttl: 1d, refresh_window: 1h, self_service: true } }
routes: [{ path: /a, scopes: [a:read] }]
`;
const JWT_SECRET = newSecret();

let ca: TestedCa;
/** The certificates of both instances, and of Envoy as their client. */
let [shown, next, client, other]: TestedCertificate[] = [];
let envoyFolder: string;
let one: TestedLatchkey;
let two: TestedLatchkey;
let envoy: EnvoyProcess;
let upstream: Upstream;
let key: string;

/**
 * Two instances that share a secret, so that each verifies the keys of both, behind one Envoy that checks their
 * health.
 */
beforeAll(async () => {
  ca = await createCa();
  [shown, next, client, other] = await Promise.all([
    ca.issue("latchkey.internal"),
    ca.issue("next.latchkey.internal"),
    ca.issue("envoy.internal"),
    ca.issue("other.internal"),
  ]);
  envoyFolder = await folderWith(client);
  const tls = {
    GRPC_TLS_CERT: shown.certFile,
    GRPC_TLS_KEY: shown.keyFile,
    GRPC_TLS_CLIENT_CA: ca.certFile,
    HTTP_TLS_CERT: shown.certFile,
    HTTP_TLS_KEY: shown.keyFile,
    HTTP_TLS_CLIENT_CA: ca.certFile,
  };
  const start = () => startLatchkey({ JWT_SECRET, DRAIN_SECONDS: "5", ...tls }, { policy: POLICY });
  [one, two, upstream] = await Promise.all([start(), start(), startUpstream()]);
  envoy = await startFleet(envoyFolder);
  key = (await register({})).api_key;
  await healthy(2);
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), one?.stop("SIGKILL"), two?.stop("SIGKILL"), upstream?.stop()]);
});

async function folderWith(certificate: TestedCertificate | undefined): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-fleet-"));
  removeAtEnd(folder);
  await copyFile(ca.certFile, join(folder, "ca.crt"));
  await copyFile(certificate?.certFile ?? "", join(folder, "client.crt"));
  await copyFile(certificate?.keyFile ?? "", join(folder, "client.key"));
  return folder;
}

function startFleet(folder: string): Promise<EnvoyProcess> {
  return startExample("fleet", {
    folders: { "/etc/envoy/latchkey": folder },
    clusters: { latchkey: [one.grpc, two.grpc], upstream: [`127.0.0.1:${upstream.port}`] },
  });
}

const portOf = (address: string) => Number(address.split(":").at(-1));
const certificates = (certificate: TestedCertificate | undefined) => ({
  ca: ca.cert,
  cert: certificate?.cert,
  key: certificate?.key,
});

async function register(body: object): Promise<{ readonly api_key: string }> {
  const answer = await sendRaw(portOf(one.http), {
    method: "POST",
    path: "/api/auth/v2/register",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "fleet", key_type: "basic", ...body }),
    tls: certificates(client),
  });
  expect([answer.status, answer.body]).toEqual([201, expect.any(String)]);
  return z.object({ api_key: z.string() }).parse(JSON.parse(answer.body));
}

/** Waits until Envoy considers this many instances healthy. */
async function healthy(count: number): Promise<void> {
  const known = async () => {
    const text = await (await fetch(`http://127.0.0.1:${envoy.adminPort}/clusters`)).text();
    const flags = [...text.matchAll(/^latchkey::127.*::health_flags::(.*)$/gm)].map(([, flag]) => flag);
    return flags.filter((flag) => flag === "healthy").length;
  };
  await vi.waitFor(async () => expect(await known()).toBe(count), { timeout: 60_000 });
}

const use = { path: "/a", headers: () => ({ authorization: `Bearer ${key}` }) };

/** Sends requests over eight connections until it is stopped. Returns how often each status occurred. */
function load() {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const seen = new Map<number, number>();
  let going = true;
  const askOn = async () => {
    while (going) {
      const request = httpRequest({ port: envoy.port, path: use.path, headers: use.headers(), agent }).end();
      const [response] = await once(request, "response");
      response.resume();
      await once(response, "end");
      seen.set(response.statusCode, (seen.get(response.statusCode) ?? 0) + 1);
      await pause(5);
    }
  };
  const asking = Promise.all(Array.from({ length: 8 }, askOn));
  return {
    /** Resolves after this many more responses. */
    more: (count: number) => {
      const before = seen.get(200) ?? 0;
      return expect.poll(() => (seen.get(200) ?? 0) - before, { interval: 20 }).toBeGreaterThan(count);
    },
    async stop() {
      going = false;
      await asking;
      agent.destroy();
      return Object.fromEntries(seen);
    },
  };
}

test("an Envoy whose certificate is of another authority gets no response and lets nothing through", async () => {
  const strange = await startFleet(
    await folderWith(await (await createCa("another")).issue("envoy.internal")),
  );
  try {
    const answer = await sendRaw(strange.port, { path: use.path, headers: use.headers() });
    expect([answer.status, answer.headers["x-latchkey-reason"]]).toEqual([503, undefined]);
  } finally {
    await strange.stop();
  }
});

test("at an HTTP listener with mTLS, a bound key is valid with its certificate only", async () => {
  const bound = await register({ cnf: { "x5t#S256": client?.thumbprint } });
  const validate = (certificate: TestedCertificate | undefined) =>
    sendRaw(portOf(one.http), {
      path: "/api/auth/v2/validate",
      headers: { authorization: `Bearer ${bound.api_key}` },
      tls: certificates(certificate),
    });
  expect((await validate(client)).status).toBe(200);
  const response = await validate(other);
  expect([response.status, JSON.parse(response.body)]).toEqual([
    401,
    expect.objectContaining({ type: "/problems/certificate-mismatch" }),
  ]);
  await expect(validate(undefined)).rejects.toThrow();
});

test("a changed certificate is served to new connections, and no request is denied meanwhile", async () => {
  const traffic = load();
  await traffic.more(50);
  const named = async (address: string) => {
    const socket = connectTls({ port: portOf(address), host: "localhost", ...certificates(client) });
    await once(socket, "secureConnect");
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };
  expect(await named(one.grpc)).toBe("latchkey.internal");
  if (shown && next) await replaceCertificate(shown, next);
  for (const listener of [one.grpc, two.grpc, one.http])
    await expect.poll(() => named(listener)).toBe("next.latchkey.internal");
  await traffic.more(50);
  expect(Object.keys(await traffic.stop())).toEqual(["200"]);
});

test("one of two instances stops under load, and no request is denied", async () => {
  const traffic = load();
  await traffic.more(50);
  const ended = one.stop();
  await healthy(1);
  expect(await ended).toBe(0);
  await traffic.more(50);
  expect(Object.keys(await traffic.stop())).toEqual(["200"]);
});
