import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import type { BrowserSession, ConsoleCall } from "../support/console-calls.ts";
import { callAsPage, openSession, postSignIn, reasonOf, sessionOf } from "../support/console-calls.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { freeAddress, startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const ADMIN_TOKEN = newSecret();
const POLICY = `
roles:
  chief: { scopes: [keys:read, keys:write], ttl: 1d, refresh_window: 1h, may_grant: [reader, chief, user, auditor] }
  reader: { scopes: [keys:read], ttl: 1d, refresh_window: 1h }
  auditor: { scopes: [audit:read], ttl: 1d, refresh_window: 1h }
  user: { scopes: [a], ttl: 1d, refresh_window: 1h }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 1000000/s }
`;

const logLines: string[] = [];
let redis: TestedRedis;
/** Two instances of one fleet. */
let one: TestedLatchkey;
let two: TestedLatchkey;
let client: LatchkeyClient;

async function startOne(env: Readonly<Record<string, string>>, policy = POLICY): Promise<TestedLatchkey> {
  return startLatchkey(
    { OPERATOR_LISTEN: await freeAddress(), ...env },
    {
      policy,
      onLogLine: (line) => logLines.push(line),
    },
  );
}

beforeAll(async () => {
  redis = await startRedis();
  const env = {
    JWT_SECRET: newSecret(),
    KEY_HASH_SECRET: newSecret(),
    AUDIT_KEY: newSecret(),
    ADMIN_TOKEN,
    REDIS_URL: redis.url,
    REDIS_COMMAND_TIMEOUT_MS: "2000",
  };
  [one, two] = await Promise.all([startOne(env), startOne(env)]);
  client = createClient({ url: `http://${one.operator}`, token: ADMIN_TOKEN });
});
afterAll(async () => {
  await Promise.all([one?.stop(), two?.stop()]);
  await redis?.stop();
});

const newKey = async (role: string) => {
  const { api_key: key, key_id: keyId } = await client.register({ name: "n", key_type: role });
  return { key, keyId };
};
/** The reason for which a call of the session is denied, or its status. */
const outcome = async (at: TestedLatchkey, session: BrowserSession, call?: ConsoleCall) =>
  reasonOf(await callAsPage(at.operator, session, call));
const untilOutcome = (at: TestedLatchkey, session: BrowserSession, expected: string) =>
  expect.poll(() => outcome(at, session)).toBe(expected);

describe("the cookie", () => {
  test("is opaque, out of reach of scripts and of other sites, and not stored in the session's body", async () => {
    const { setCookie, cookie, body } = await openSession(one.operator, ADMIN_TOKEN);
    const port = one.operator.split(":").at(-1);
    expect(setCookie.replace(/=[\w-]+/, "=…")).toBe(
      `latchkey-console-${port}=…; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict`,
    );
    expect(Buffer.from(cookie.split("=")[1] ?? "", "base64url").toString("latin1")).not.toContain(
      ADMIN_TOKEN,
    );
    expect(JSON.stringify(body)).not.toContain(ADMIN_TOKEN);
  });

  test("has the prefix __Host- and Secure behind a proxy that ends TLS", async () => {
    const answer = await postSignIn(
      one.operator,
      { credential: ADMIN_TOKEN },
      { headers: { origin: "https://console.example", host: "console.example" } },
    );
    expect(sessionOf(answer).setCookie.replace(/=[\w-]+/, "=…")).toBe(
      "__Host-latchkey-console=…; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure",
    );
  });
});

describe("a session", () => {
  test("works on every instance, and its end on one instance ends every copy on all", async () => {
    const session = await openSession(one.operator, ADMIN_TOKEN);
    // Its cookie has the port of the instance in its name; a load balancer gives both the same.
    const onTwo = { ...session, cookie: session.cookie.replace(/^[^=]+/, `latchkey-console-${portOf(two)}`) };
    expect(await outcome(two, onTwo)).toBe("200");
    const answer = await callAsPage(one.operator, session, { method: "DELETE" });
    expect([answer.status, answer.body]).toEqual([200, '{"provider_sign_out":null}']);
    expect(String(answer.headers["set-cookie"])).toContain("Max-Age=0");
    expect(await outcome(one, session)).toBe("session-ended");
    await untilOutcome(two, onTwo, "session-ended");
  });

  test("ends with its key, for the reason of the key, and comes back if the key does", async () => {
    const { key, keyId } = await newKey("reader");
    const session = await openSession(one.operator, key);
    await client.keys.change(keyId, { disabled: true });
    expect(await outcome(one, session)).toBe("key-disabled");
    await client.keys.change(keyId, { disabled: false });
    expect(await outcome(one, session)).toBe("200");
    await client.keys.revoke(keyId);
    expect(await outcome(one, session, { path: "/api/admin/status" })).toBe("key-revoked");
  });

  test("has the scopes of its key and no more", async () => {
    const { key } = await newKey("auditor");
    const session = await openSession(one.operator, key);
    expect(session.body["scopes"]).toEqual(["audit:read"]);
    expect(await outcome(one, session, { path: "/api/admin/audit" })).toBe("200");
    expect(await outcome(one, session, { path: "/api/admin/status" })).toBe("operator-scope-missing");
    expect(await outcome(one, session, { path: "/api/admin/figures" })).toBe("operator-scope-missing");
    const cutOff = {
      path: "/api/admin/revoke-issued-before",
      method: "POST",
      body: { before: "2020-01-01T00:00:00Z" },
    };
    expect(await outcome(one, session, cutOff)).toBe("operator-scope-missing");
  });

  test("is not given to a key without operator scopes, nor to something that is no credential", async () => {
    const { key } = await newKey("user");
    expect(reasonOf(await postSignIn(one.operator, { credential: key }))).toBe("operator-scope-missing");
    for (const credential of ["x", "a b", "ä", "\u0000", "eyJ.eyJ.x", "a".repeat(8192)])
      expect(reasonOf(await postSignIn(one.operator, { credential }))).toBe("credential-invalid");
    expect(reasonOf(await postSignIn(one.operator, { credential: "a".repeat(8193) }))).toBe(
      "request-invalid",
    );
  });

  test("has a new id at each sign-in, whatever the browser sent", async () => {
    const planted = await openSession(one.operator, ADMIN_TOKEN);
    const answer = await postSignIn(
      one.operator,
      { credential: ADMIN_TOKEN },
      { headers: { cookie: planted.cookie, "x-latchkey-console": planted.proof } },
    );
    const own = sessionOf(answer);
    expect(own.cookie).not.toBe(planted.cookie);
    // The attacker's cookie with the person's proof, and the reverse.
    expect(await outcome(one, { ...planted, proof: own.proof })).toBe("session-ended");
    expect(await outcome(one, { ...own, proof: planted.proof })).toBe("session-ended");
  });

  test("beside a credential in a header is ambiguous", async () => {
    const session = await openSession(one.operator, ADMIN_TOKEN);
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    expect(await outcome(one, session, { path: "/api/admin/status", headers })).toBe("credential-ambiguous");
  });

  test("is not accepted on the HTTP listener, which has no console", async () => {
    const session = await openSession(one.operator, ADMIN_TOKEN);
    const onHttp = {
      ...session,
      cookie: session.cookie.replace(/^[^=]+/, `latchkey-console-${one.http.split(":").at(-1)}`),
    };
    for (const path of ["/console", "/api/console/session", "/api/admin/status"])
      expect((await callAsPage(one.http, onHttp, { path })).status).toBe(404);
    const register = {
      method: "POST",
      path: "/api/auth/v2/register",
      body: { name: "n", key_type: "reader" },
    };
    expect((await callAsPage(one.http, onHttp, register)).status).toBe(401);
    expect((await callAsPage(one.operator, session, register)).status).toBe(201);
  });
});

describe("another site", () => {
  test.each<[string, ConsoleCall]>([
    ["its origin", { headers: { origin: "http://evil.example" } }],
    ["the origin null", { headers: { origin: "null" } }],
    ["another port of this host", { headers: { origin: "http://127.0.0.1:3000" } }],
    ["Sec-Fetch-Site", { headers: { "sec-fetch-site": "cross-site" } }],
    ["no origin", { without: ["origin"] }],
  ])("changes nothing with the cookie: %s", async (_, call) => {
    const session = await openSession(one.operator, ADMIN_TOKEN);
    const { keyId } = await newKey("user");
    const revoke = { method: "DELETE", path: `/api/admin/keys/${keyId}`, ...call };
    expect(await outcome(one, session, revoke)).toBe("cross-site-call");
    // A form or an image cannot set the header.
    const withoutHeader = { ...revoke, without: [...(call.without ?? []), "x-latchkey-console"] };
    expect(await outcome(one, session, withoutHeader)).toBe("operator-required");
    expect((await client.keys.show(keyId)).status).toBe("active");
    expect(reasonOf(await postSignIn(one.operator, { credential: ADMIN_TOKEN }, call))).toBe(
      "cross-site-call",
    );
  });

  test("cannot send a sign-in as a form, and gets no permission to send the header", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded"]) {
      const answer = await callAsPage(one.operator, undefined, {
        method: "POST",
        body: { credential: ADMIN_TOKEN },
        headers: { "content-type": type },
      });
      expect(answer.status).toBe(415);
    }
    const preflight = await callAsPage(one.operator, undefined, {
      method: "OPTIONS",
      headers: {
        "access-control-request-method": "GET",
        "access-control-request-headers": "x-latchkey-console",
      },
    });
    expect(preflight.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("cannot frame the console, and the page loads nothing of other origins", async () => {
    const { headers, body } = await callAsPage(one.operator, undefined, { path: "/console" });
    expect(headers["content-security-policy"]).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    );
    expect(headers["x-frame-options"]).toBe("DENY");
    expect(headers["referrer-policy"]).toBe("no-referrer");
    expect(body).not.toMatch(/https?:|<script>|style=/);
  });
});

describe("a sign-in link", () => {
  test("signs in once, of two browsers at the same time on two instances", async () => {
    const { link } = await client.console.link();
    const answers = await Promise.all([
      postSignIn(one.operator, { link }),
      postSignIn(two.operator, { link }),
    ]);
    expect(answers.map(reasonOf).sort()).toEqual(["201", "link-invalid"]);
    expect(reasonOf(await postSignIn(one.operator, { link }))).toBe("link-invalid");
  });

  test("is printed by `latchkey console`, alone on stdout", async () => {
    const url = `http://${one.operator}`;
    const { stdout, status } = await runHere(["console"], { LATCHKEY_URL: url, LATCHKEY_TOKEN: ADMIN_TOKEN });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/console#link=[\w-]+\n$/);
    expect(stdout).not.toContain(ADMIN_TOKEN);
    const session = sessionOf(
      await postSignIn(two.operator, { link: stdout.trim().split("link=")[1] ?? "" }),
    );
    expect(session.body["kind"]).toBe("admin");
  });

  test("is worth what its key is worth", async () => {
    const { key, keyId } = await newKey("reader");
    const { link } = await createClient({ url: `http://${one.operator}`, token: key }).console.link();
    await client.keys.revoke(keyId);
    expect(reasonOf(await postSignIn(one.operator, { link }))).toBe("key-revoked");
  });

  test("cannot be created by a session, by a key without operator scopes, or by nobody", async () => {
    const session = await openSession(one.operator, ADMIN_TOKEN);
    const create = { method: "POST", path: "/api/console/links" };
    expect(await outcome(one, session, create)).toBe("operator-required");
    expect(reasonOf(await callAsPage(one.operator, undefined, create))).toBe("operator-required");
    const { key } = await newKey("user");
    const headers = { authorization: `Bearer ${key}` };
    expect(reasonOf(await callAsPage(one.operator, undefined, { ...create, headers }))).toBe(
      "operator-scope-missing",
    );
  });

  test("cannot be invented, and a session's cookie is none", async () => {
    const { cookie } = await openSession(one.operator, ADMIN_TOKEN);
    for (const link of ["x", "a".repeat(12_000), cookie.split("=")[1] ?? ""])
      expect(reasonOf(await postSignIn(one.operator, { link }))).toBe("link-invalid");
  });
});

test("the console works while Redis does not respond, except for links and for the sign-out of all copies", async () => {
  const session = await openSession(one.operator, ADMIN_TOKEN);
  const { link } = await client.console.link();
  process.kill(redis.pid, "SIGSTOP");
  try {
    expect((await openSession(one.operator, ADMIN_TOKEN)).body["kind"]).toBe("admin");
    expect(await outcome(one, session)).toBe("200");
    const [byLink, signOut] = await Promise.all([
      postSignIn(one.operator, { link }),
      callAsPage(one.operator, session, { method: "DELETE" }),
    ]);
    expect([byLink, signOut].map(reasonOf)).toEqual(["store-unavailable", "store-unavailable"]);
    // The browser forgets the session all the same.
    expect(String(signOut.headers["set-cookie"])).toContain("Max-Age=0");
  } finally {
    process.kill(redis.pid, "SIGCONT");
  }
});

test("no log line and no audit line has a credential, a link, a proof or a cookie", async () => {
  const session = await openSession(one.operator, ADMIN_TOKEN);
  const { link } = await client.console.link();
  await postSignIn(one.operator, { link });
  await callAsPage(one.operator, session, { method: "DELETE" });
  // Either instance may write the line of an event.
  const audited = () => [one, two].map(({ cwd }) => readFileSync(join(cwd, "logs/api.log"), "utf8")).join("");
  await expect.poll(audited).toContain("console_signed_out");
  await expect
    .poll(audited)
    .toContain('"method":"POST","route":"/api/console/session","status":201,"outcome":"done"');
  const text = logLines.join("\n") + audited();
  for (const secret of [ADMIN_TOKEN, link, session.proof, session.cookie.split("=")[1] ?? ""])
    expect(text.includes(secret)).toBe(false);
});

test("failed sign-ins are charged to the address, and valid ones and sessions still work", async () => {
  const policy = POLICY.replace("open_calls: 1000000/s", "open_calls: 5/h");
  const guarded = await startOne({ ADMIN_TOKEN, JWT_SECRET: newSecret() }, policy);
  try {
    const session = await openSession(guarded.operator, ADMIN_TOKEN);
    const guesses = await Promise.all(
      Array.from({ length: 8 }, () => postSignIn(guarded.operator, { credential: newSecret() })),
    );
    expect(guesses.map(reasonOf).sort()).toEqual([
      ...Array.from({ length: 5 }, () => "credential-invalid"),
      ...Array.from({ length: 3 }, () => "too-many-calls"),
    ]);
    const guessed = { cookie: session.cookie, proof: "guess" };
    expect(reasonOf(await callAsPage(guarded.operator, guessed))).toBe("too-many-calls");
    expect(reasonOf(await postSignIn(guarded.operator, { link: "guess" }))).toBe("too-many-calls");
    expect(reasonOf(await callAsPage(guarded.operator, session))).toBe("200");
    expect((await openSession(guarded.operator, ADMIN_TOKEN)).body["kind"]).toBe("admin");
  } finally {
    await guarded.stop();
  }
});

test("with CONSOLE=off there is neither a page nor a session", async () => {
  const off = await startOne({ ADMIN_TOKEN, JWT_SECRET: newSecret(), CONSOLE: "off" });
  try {
    expect((await callAsPage(off.operator, undefined, { path: "/console" })).status).toBe(404);
    expect((await postSignIn(off.operator, { credential: ADMIN_TOKEN })).status).toBe(404);
    const { stderr, status } = await runHere(["console"], {
      LATCHKEY_URL: `http://${off.operator}`,
      LATCHKEY_TOKEN: ADMIN_TOKEN,
    });
    expect(status).toBe(1);
    expect(stderr).toContain("set CONSOLE to on");
  } finally {
    await off.stop();
  }
});

function portOf({ operator }: TestedLatchkey): string {
  return operator.split(":").at(-1) ?? "";
}
