import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import Fastify from "fastify";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createRevocationView } from "../../core/revocation/revocation-view.ts";
import { createSeal } from "./seal.ts";
import type { Session, Sessions } from "./sessions.ts";
import { ABSOLUTE_SECONDS, CONSOLE_HEADER, createSessions, IDLE_SECONDS } from "./sessions.ts";

const SECRET = "a secret of the fleet, 32 bytes long";
const HOST = "console.example:8001";

let nowMs: number;
let view: ReturnType<typeof createRevocationView>;
let sessions: Sessions;
let session: Session;

const server = Fastify();
let url: string;

beforeAll(async () => {
  server.route({ method: ["GET", "POST"], url: "/", handler: async (call) => sessions.of(call).kind });
  url = await server.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(() => server.close());

beforeEach(() => {
  nowMs = 1_700_000_000_000;
  view = createRevocationView();
  sessions = createSessions({ seal: createSeal([SECRET]), view, nowMs: () => nowMs });
  session = sessions.create({ kind: "credential", token: "token" });
});

type Headers = Readonly<Record<string, string | undefined>>;

/** What a session makes of a real request with these headers, beside those of a page's own call. */
async function judge(headers: Headers = {}, method: "GET" | "POST" = "GET", of = session): Promise<string> {
  const all = {
    host: HOST,
    [CONSOLE_HEADER]: of.proof,
    cookie: `latchkey-console-8001=${sessions.seal(of)}`,
    ...(method === "POST" && { origin: `http://${HOST}` }),
    ...headers,
  };
  const given = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const sent = request(url, { method, headers: Object.fromEntries(given) }).end();
  const [response]: IncomingMessage[] = await once(sent, "response");
  return response === undefined ? "" : text(response);
}

test("a call of the console's own page has its session", async () => {
  expect(await judge()).toBe("open");
  expect(await judge({}, "POST")).toBe("open");
  expect(await judge({ "sec-fetch-site": "same-origin", origin: `https://${HOST}` })).toBe("open");
});

test("without the header a call has no session, whatever its cookie", async () => {
  expect(await judge({ [CONSOLE_HEADER]: undefined })).toBe("none");
});

test.each<[string, Headers]>([
  ["of another site", { origin: "http://evil.example" }],
  ["of another port", { origin: "http://console.example:3000" }],
  ["of a subdomain", { origin: `http://x.${HOST}` }],
  ["of a sandboxed frame", { origin: "null" }],
  ["with an origin that is no URL", { origin: HOST }],
  ["with another host in front", { origin: `http://${HOST}.evil.example` }],
  ["that the browser reports as cross-site", { "sec-fetch-site": "cross-site" }],
  ["that the browser reports as same-site", { "sec-fetch-site": "same-site" }],
  ["of no page", { "sec-fetch-site": "none" }],
])("a call %s is denied", async (_, headers) => {
  expect(await judge(headers)).toBe("cross_site");
  expect(await judge(headers, "POST")).toBe("cross_site");
});

test("a call that changes something must name its origin", async () => {
  expect(await judge({ origin: undefined }, "POST")).toBe("cross_site");
});

test("a cookie is useless without its own proof", async () => {
  const other = sessions.create({ kind: "credential", token: "token" });
  expect(await judge({ [CONSOLE_HEADER]: other.proof })).toBe("ended");
  expect(await judge({ [CONSOLE_HEADER]: "" })).toBe("ended");
});

test("two cookies of the same name, of which another site may have set one, are no session", async () => {
  const cookie = `latchkey-console-8001=${sessions.seal(session)}`;
  expect(await judge({ cookie: `${cookie}; ${cookie}` })).toBe("ended");
});

test("a cookie that only a secure page can set comes before one that any page of the host can set", async () => {
  const planted = sessions.create({ kind: "credential", token: "of the attacker" });
  const cookie = `latchkey-console-8001=${sessions.seal(planted)}; __Host-latchkey-console=${sessions.seal(session)}`;
  expect(await judge({ cookie })).toBe("open");
});

test.each(["", "x", "%", "AAAA", "a".repeat(5000)])("the cookie %j is no session", async (value) => {
  expect(await judge({ cookie: `latchkey-console-8001=${value}` })).toBe("ended");
});

test("a sealed link is no session", async () => {
  const link = createSeal([SECRET]).seal("link", JSON.stringify(session));
  expect(await judge({ cookie: `latchkey-console-8001=${link}` })).toBe("ended");
});

test("a session ends when it was idle for long enough, and at the latest at its absolute end", async () => {
  nowMs += IDLE_SECONDS * 1000 - 1;
  expect(await judge()).toBe("open");
  nowMs += 1;
  expect(await judge()).toBe("ended");
  const { startedMs } = session;
  nowMs = startedMs + ABSOLUTE_SECONDS * 1000 - 1;
  expect(await judge({}, "GET", { ...session, seenMs: nowMs })).toBe("open");
  nowMs += 1;
  expect(await judge({}, "GET", { ...session, seenMs: nowMs })).toBe("ended");
});

test("an end in the revocation view ends every copy of the cookie", async () => {
  const renewed = { ...session, seenMs: nowMs + 1000 };
  view.apply([
    { kind: "key", keyId: session.id, version: 1, expiresAt: nowMs, revoked: true, disabled: false },
  ]);
  expect(await judge()).toBe("ended");
  expect(await judge({}, "GET", renewed)).toBe("ended");
});
