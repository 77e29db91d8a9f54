import Fastify from "fastify";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createSeal } from "../console/seal.ts";
import type { SignInCookie } from "./signed-in-cookie.ts";
import { createSignInCookie } from "./signed-in-cookie.ts";

const PENDING = { state: "state", nonce: "nonce", verifier: "verifier" };
const SUBJECT = {
  kind: "holder",
  issuer: "i",
  person: { subject: "s", name: "n", owner: "o", claim: "c" },
} as const;

const server = Fastify();
let url: string;
let cookie: SignInCookie;

beforeAll(async () => {
  server.get("/start", async (request, reply) => cookie.start(request, reply, PENDING));
  server.get("/finish", async (request, reply) => cookie.finish(request, reply, SUBJECT));
  server.get("/clear", async (request, reply) => cookie.clear(request, reply));
  server.get("/read", async (request) => ({
    pending: cookie.pending(request)?.state,
    result: cookie.result(request)?.subject.kind,
  }));
  url = await server.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(() => server.close());

function behind(scheme: "http" | "https"): void {
  const seal = createSeal(["a secret of the fleet, 32 bytes long"]);
  cookie = createSignInCookie("keys", `${scheme}://keys.example/keys/oidc/callback`, {
    ...{ seal, nowMs: () => 1_700_000_000_000 },
  });
}

/** The cookie that a call sets, as a browser would send it. */
async function set(path: string): Promise<string> {
  const { headers } = await fetch(`${url}${path}`);
  return headers.getSetCookie()[0]?.split(";")[0] ?? "";
}

const read = async (sent: string) => (await fetch(`${url}/read`, { headers: { cookie: sent } })).json();

test.each(["http", "https"] as const)(
  "a sign-in by %s stays in its browser until it is cleared",
  async (scheme) => {
    behind(scheme);
    const [started, finished] = [await set("/start"), await set("/finish")];
    expect(await read(started)).toEqual({ pending: "state" });
    expect(await read(finished)).toEqual({ result: "holder" });
    // The cookie that a callback clears is the one that the browser has, also if a proxy in front ends TLS.
    expect(await set("/clear")).toBe(`${started.split("=")[0]}=`);
  },
);

test("where the browser uses TLS, a sign-in that another host of the domain has planted is ignored", async () => {
  behind("https");
  const port = new URL(url).port;
  for (const path of ["/start", "/finish"]) {
    const value = (await set(path)).split("=")[1];
    expect(await read(`latchkey-keys-sign-in-${port}=${value}`)).toEqual({});
    expect(await read(`__Host-latchkey-keys-sign-in=${value}`)).not.toEqual({});
  }
});
