import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { removeAtEnd } from "../support/at-end.ts";
import { jwkSet, newJwk } from "../support/jwk.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";

const MARK = "\ufeff";
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latchkey-text-"));
  removeAtEnd(folder);
});

async function fileOf(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

test("instances accept each other's keys if one has its secret in a variable with a line break and one in a file", async () => {
  const secret = newSecret();
  const file = await fileOf("secret", `${MARK}${secret}\r\n`);
  const [one, other] = await Promise.all([
    startLatchkey({ JWT_SECRET: `${secret}\n` }),
    startLatchkey({ JWT_SECRET_FILE: file }),
  ]);
  try {
    const { api_key } = await registerKey(one.http);
    const headers = { authorization: `Bearer ${api_key}` };
    expect((await fetch(`http://${other.http}/api/auth/v2/validate`, { headers })).status).toBe(200);
    expect(one.output()).toContain("JWT_SECRET has white space around it");
    expect(other.output()).not.toContain("has white space around it");
  } finally {
    await Promise.all([one.stop(), other.stop()]);
  }
});

test("a byte order mark before policy, key set and secrets is ignored", async () => {
  const latchkey = await startLatchkey({
    JWT_KEYS_FILE: await fileOf("keys.json", `${MARK}${jwkSet(newJwk("EdDSA", "one"))}`),
    POLICY_FILE: await fileOf("policy.yaml", `${MARK}audit: { requests: all }\n`),
    ADMIN_TOKEN_FILE: await fileOf("admin", `${MARK}${newSecret()}\n`),
  });
  const { api_key } = await registerKey(latchkey.http);
  expect(api_key).toMatch(/^eyJ/);
  await latchkey.stop();
  const listed = await runHere(["secrets", "list"], { JWT_KEYS_FILE: join(folder, "keys.json") });
  expect(listed.stdout).toContain("signs");
  expect((await runHere(["policy", "check", join(folder, "policy.yaml")])).status).toBe(0);
});

test("a key of a file may use the RFC 9864 name of its algorithm", async () => {
  const key = { ...newJwk("EdDSA", "one"), alg: "Ed25519" };
  const latchkey = await startLatchkey({ JWT_KEYS_FILE: await fileOf("named.json", jwkSet(key)) });
  const { api_key } = await registerKey(latchkey.http);
  const headers = { authorization: `Bearer ${api_key}` };
  expect((await fetch(`http://${latchkey.http}/api/auth/v2/validate`, { headers })).status).toBe(200);
  await latchkey.stop();
});

test("a problem with a file is reported with the setting that names the file", async () => {
  const latin = await fileOf("latin", Buffer.from("roles: { b\xe4sic: x }", "latin1"));
  const empty = await fileOf("empty", "\n");
  const stderr = async (env: Readonly<Record<string, string>>) => (await runHere(["serve"], env)).stderr;
  expect(await stderr({ JWT_SECRET_FILE: empty })).toContain(`JWT_SECRET_FILE is empty: ${empty}`);
  expect(await stderr({ JWT_SECRET_FILE: latin })).toMatch(
    /JWT_SECRET_FILE cannot be read: .*latin is not UTF-8 text/,
  );
  expect(await stderr({ POLICY_FILE: latin })).toContain(
    `POLICY_FILE: ${latin}: it cannot be read, or is no UTF-8`,
  );
  expect(await stderr({ POLICY_FILE: "/nowhere" })).toContain("POLICY_FILE: /nowhere: there is no such file");
  expect(await stderr({ JWT_KEYS_FILE: "/nowhere" })).toContain("JWT_KEYS_FILE: /nowhere: it cannot be read");
  expect(await stderr({ JWT_KEYS_FILE: empty })).toContain(`JWT_KEYS_FILE: ${empty}: is no JWK Set`);
  const tls = { GRPC_TLS_CERT: "/nowhere", GRPC_TLS_KEY: "/nowhere" };
  expect(await stderr(tls)).toContain("GRPC_TLS_CERT: /nowhere cannot be read");
});
