import { once } from "node:events";
import type { Server } from "node:http";
import { createServer } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import { documentedBlock, IDENTITY_PROVIDERS } from "../support/identity-providers.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const blocks = z.object({ issuers: z.tuple([z.looseObject({ issuer: z.string(), audience: z.string() })]) });
/** The block of docs/guides/identity-providers.md for each provider. */
const entries = IDENTITY_PROVIDERS.map(({ name }) => blocks.parse(parse(documentedBlock(name))).issuers[0]);

let keys: Server;
let latchkey: TestedLatchkey;
let upstream: Upstream;
let envoy: EnvoyProcess;

beforeAll(async () => {
  // Some servers send a byte order mark before their key set.
  keys = createServer((request, response) => {
    const provider = IDENTITY_PROVIDERS[Number(request.url?.slice(1))];
    response.setHeader("content-type", "application/json").end(`\ufeff${provider?.published ?? ""}`);
  });
  keys.listen(0, "127.0.0.1");
  await once(keys, "listening");
  const address = keys.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const here = entries.map((entry, at) => ({ ...entry, jwks_uri: `http://127.0.0.1:${port}/${at}` }));
  [latchkey, upstream] = await Promise.all([
    startLatchkey({ ADMIN_TOKEN }, { policy: JSON.stringify({ issuers: here }) }),
    startUpstream(),
  ]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
  keys?.close();
  keys?.closeAllConnections();
});

async function send(token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, { headers })).status;
}

test.each(IDENTITY_PROVIDERS.map((provider, at) => ({ ...provider, at })))(
  "with the documented block, a token of $name passes Envoy, and one for another audience does not",
  async ({ token, at, expected }) => {
    const [names] = entries.slice(at, at + 1);
    if (names === undefined) throw new Error("no entry");
    const good = await token(names);
    // The issuer's keys are fetched at start; the first token may arrive before them.
    await expect.poll(() => send(good)).toBe(200);
    const seen = new Map(upstream.requests.at(-1)?.headers);
    expect(seen.get("x-latchkey-family")).toBe(expected.family);
    expect(seen.get("x-latchkey-role")).toBe(expected.role);
    expect(seen.has("authorization")).toBe(false);
    const key = await token(names, { aud: "another" });
    expect(await send(key)).toBe(401);
    const operator = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    const { steps } = await operator.explain({ method: "GET", path: "/v1/chat/x", key });
    expect(steps.find(({ step }) => step === "key")?.observed).toContain("(audience_wrong)");
  },
);
