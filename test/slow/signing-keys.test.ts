import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { HTTP_MANAGER, startEnvoy } from "../support/envoy.ts";
import type { TestJwk } from "../support/jwk.ts";
import { jwkSet, newJwk, publicPart } from "../support/jwk.ts";
import { newSecret, readToken, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import { replaceFile } from "../support/replace-file.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

let file: string;
let latchkey: TestedLatchkey;

const [es, rs, ed] = [newJwk("ES256", "es"), newJwk("RS256", "rs"), newJwk("EdDSA", "ed")];

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-keys-"));
  removeAtEnd(folder);
  file = join(folder, "keys.json");
  await replaceKeys(es);
  latchkey = await startLatchkey({ JWT_KEYS_FILE: file });
});

afterAll(async () => {
  await latchkey?.stop();
});

const replaceKeys = (...keys: readonly TestJwk[]) => replaceFile(file, jwkSet(...keys));

const client = () => createClient({ url: `http://${latchkey.http}` });
const publishedKids = async () => (await client().jwks()).keys.map(({ kid }) => kid);
const kidOf = (token: string) => readToken(token).header["kid"];
const metrics = async () => (await fetch(`http://${latchkey.ops}/metrics`)).text();

describe("JWT_KEYS_FILE", () => {
  test("is reloaded on a change, without a restart; its first key signs and all keys verify", async () => {
    const before = await registerKey(latchkey.http);
    expect(kidOf(before.api_key)).toBe("es");
    await replaceKeys(rs, es);
    await expect.poll(publishedKids).toEqual(["rs", "es"]);
    const after = await registerKey(latchkey.http);
    expect(readToken(after.api_key).header).toEqual({ typ: "JWT", alg: "RS256", kid: "rs" });
    for (const { api_key } of [before, after])
      expect(await client().validate(api_key)).toMatchObject({ valid: true });
    await expect.poll(metrics).toContain('latchkey_signing_key_info{kid="rs",use="signs"} 1');
    await expect.poll(metrics).toContain('latchkey_signing_key_info{kid="es",use="verifies"} 1');
  });

  test("is reloaded at once on SIGHUP, and tokens of a removed key are denied even if they were cached", async () => {
    const { api_key } = await registerKey(latchkey.http);
    expect(await client().validate(api_key)).toMatchObject({ valid: true });
    await replaceKeys(ed);
    process.kill(latchkey.pid, "SIGHUP");
    await expect.poll(publishedKids).toEqual(["ed"]);
    await expect(client().validate(api_key)).rejects.toMatchObject({ reason: "credential-invalid" });
  });

  test("with a mistake is rejected and reported, and the old keys stay active", async () => {
    const { api_key } = await registerKey(latchkey.http);
    await replaceKeys(publicPart(rs), ed);
    await expect.poll(metrics).toContain('latchkey_signing_keys_reloads_total{result="refused"} 1');
    await expect.poll(latchkey.output).toContain("the old keys stay");
    await expect.poll(latchkey.output).toContain("this one has no private part");
    expect(await publishedKids()).toEqual(["ed"]);
    expect(await client().validate(api_key)).toMatchObject({ valid: true });
    for (const jwk of [es, rs, ed]) expect(latchkey.output()).not.toContain(jwk["d"]);
  });

  test("with mistakes prevents the start and reports all of them; beside JWT_SECRET its keys only verify", async () => {
    const bad = `${file}.bad`;
    await writeFile(bad, jwkSet({ ...es, kid: "" }, { ...rs, use: "enc" }));
    const { status, stderr } = await runHere(["serve"], { JWT_KEYS_FILE: bad });
    expect(status).toBe(1);
    expect(stderr.split("\n").filter((line) => line.startsWith("  - "))).toHaveLength(2);
    expect((await runHere(["serve"], { JWT_KEYS_FILE: "/nowhere/keys" })).stderr).toContain("cannot be read");
    const beside = await startLatchkey({ JWT_KEYS_FILE: file, JWT_SECRET: newSecret() });
    const { api_key } = await registerKey(beside.http);
    expect(readToken(api_key).header["alg"]).toBe("HS256");
    await beside.stop();
  });

  test("with secrets publishes no key, and clients may cache the JWK Set", async () => {
    const secrets = `${file}.secrets`;
    await writeFile(secrets, jwkSet(newJwk("HS256", "hs")));
    const other = await startLatchkey({ JWT_KEYS_FILE: secrets });
    const response = await fetch(`http://${other.http}/.well-known/jwks.json`);
    expect(await response.json()).toEqual({ keys: [] });
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    expect(kidOf((await registerKey(other.http)).api_key)).toBe("hs");
    await other.stop();
  });
});

describe("Envoy's own jwt_authn", () => {
  let upstream: Upstream;

  beforeAll(async () => {
    upstream = await startUpstream();
  });
  afterAll(async () => {
    await upstream?.stop();
  });

  /** An Envoy whose jwt_authn filter replaces ext_authz, so it needs only the JWK Set. */
  async function verifyingEnvoy() {
    return startEnvoy({
      authzTarget: latchkey.http,
      upstreamPort: upstream.port,
      edit(bootstrap) {
        bootstrap.setIn(
          [...HTTP_MANAGER, "http_filters", 0],
          bootstrap.createNode({
            name: "envoy.filters.http.jwt_authn",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
              providers: {
                latchkey: {
                  issuer: "blyan-api",
                  audiences: ["latchkey"],
                  remote_jwks: {
                    http_uri: {
                      uri: "http://latchkey/.well-known/jwks.json",
                      cluster: "jwks",
                      timeout: "5s",
                    },
                  },
                },
              },
              rules: [{ match: { prefix: "/" }, requires: { provider_name: "latchkey" } }],
            },
          }),
        );
        const [host = "", port = ""] = latchkey.http.split(":");
        bootstrap.addIn(
          ["static_resources", "clusters"],
          bootstrap.createNode({
            name: "jwks",
            connect_timeout: "5s",
            load_assignment: {
              cluster_name: "jwks",
              endpoints: [
                {
                  lb_endpoints: [
                    {
                      endpoint: { address: { socket_address: { address: host, port_value: Number(port) } } },
                    },
                  ],
                },
              ],
            },
          }),
        );
      },
    });
  }

  test("verifies our keys of every algorithm with the JWK Set, and rejects keys of another issuer", async () => {
    const tokens: string[] = [];
    for (const first of [es, rs, ed]) {
      const others = [es, rs, ed].filter((jwk) => jwk !== first);
      await replaceKeys(first, ...others);
      process.kill(latchkey.pid, "SIGHUP");
      await expect.poll(async () => (await publishedKids())[0]).toBe(first.kid);
      tokens.push((await registerKey(latchkey.http)).api_key);
    }
    const other = await startLatchkey({ JWT_KEYS_FILE: await foreignKeysFile() });
    const foreign = (await registerKey(other.http)).api_key;
    await other.stop();
    const envoy = await verifyingEnvoy();
    const statusOf = async (token: string) =>
      (await fetch(`http://127.0.0.1:${envoy.port}/x`, { headers: { authorization: `Bearer ${token}` } }))
        .status;
    expect(tokens.map((token) => readToken(token).header["alg"])).toEqual(["ES256", "RS256", "EdDSA"]);
    expect(await Promise.all(tokens.map(statusOf))).toEqual([200, 200, 200]);
    expect(await statusOf(foreign)).toBe(401);
    await envoy.stop();
  });

  async function foreignKeysFile(): Promise<string> {
    await writeFile(`${file}.foreign`, jwkSet(newJwk("ES256", "es")));
    return `${file}.foreign`;
  }
});
