import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { createCa } from "../support/certificates.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Ran } from "../support/program.ts";
import { runHere, runLatchkey } from "../support/program.ts";

const production = {
  ENVIRONMENT: "production",
  JWT_SECRET: newSecret(),
  KEY_HASH_SECRET: newSecret(),
  AUDIT_KEY: newSecret(),
  ADMIN_TOKEN: newSecret(),
};
let latchkey: TestedLatchkey;
let env: Record<string, string>;

beforeAll(async () => {
  latchkey = await startLatchkey({ ...production, OPERATOR_LISTEN: "127.0.0.1:0" });
  env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: production.ADMIN_TOKEN };
});
afterAll(async () => {
  await latchkey?.stop();
});

const said = ({ status, stderr }: Ran) => [status, stderr];

describe("a command says what to look at", () => {
  test("at the wrong door, without a token, with a bad one, with one that may not", async () => {
    const list = async (changed: Readonly<Record<string, string>>) =>
      said(await runHere(["keys", "list"], { ...env, ...changed }));
    expect(await list({ LATCHKEY_URL: `http://${latchkey.http}` })).toEqual([
      1,
      expect.stringMatching(/404 not-found.*is not the operator door: that is OPERATOR_LISTEN/s),
    ]);
    expect(await list({ LATCHKEY_TOKEN: "" })).toEqual([
      1,
      expect.stringContaining("LATCHKEY_TOKEN is not set"),
    ]);
    expect(await list({ LATCHKEY_TOKEN: newSecret() })).toEqual([
      1,
      expect.stringContaining("is not taken here"),
    ]);
    const { api_key } = await registerKey(latchkey.http);
    expect(await list({ LATCHKEY_TOKEN: api_key })).toEqual([1, expect.stringContaining("needs the scope")]);
    const unknown = await runHere(["keys", "show", "basic_1_abcdefghijklmnopqrstuv"], env);
    expect(said(unknown)).toEqual([1, expect.not.stringContaining("door")]);
  });

  test("where nobody, or somebody else, answers, and where there is no URL", async () => {
    const stranger = createServer((_, response) => response.end("<html>"));
    await once(stranger.listen(0, "127.0.0.1"), "listening");
    const address = stranger.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const asked = await runHere(["keys", "list"], { ...env, LATCHKEY_URL: `http://127.0.0.1:${port}` });
    expect(said(asked)).toEqual([3, expect.stringContaining("answers, but not as Latchkey does")]);
    stranger.close();
    expect(said(await runHere(["keys", "list"], { LATCHKEY_URL: "http://127.0.0.1:1" }))).toEqual([
      3,
      expect.stringMatching(/does not answer.*LATCHKEY_URL/),
    ]);
    expect(said(await runHere(["keys", "list"], { LATCHKEY_URL: "localhost:8000" }))).toEqual([
      2,
      expect.stringContaining("LATCHKEY_URL is no URL"),
    ]);
  });

  test("when a credential cannot be sent: nothing is sent, and nothing of it is shown", async () => {
    const tokens = [newSecret(), newSecret()];
    const LATCHKEY_TOKEN_FILE = join(latchkey.cwd, "two-tokens");
    writeFileSync(LATCHKEY_TOKEN_FILE, `${tokens.join("\n")}\n`);
    const url = `http://operator:${tokens[0]}@127.0.0.1:1`;
    for (const [args, changed] of [
      [["keys", "list"], { LATCHKEY_TOKEN: "", LATCHKEY_TOKEN_FILE }],
      [["keys", "list"], { LATCHKEY_TOKEN: tokens.join(" ") }],
      [["keys", "list"], { LATCHKEY_TOKEN: `${tokens[0]}\u00e9` }],
      [["keys", "list"], { LATCHKEY_URL: url }],
      [["smoke", url], {}],
      [["smoke", env["LATCHKEY_URL"] ?? "", "--envoy", url], {}],
      [["keys", "revoke", (await registerKey(latchkey.http)).api_key], {}],
    ] as const) {
      const { status, stdout, stderr } = await runHere(args, { ...env, ...changed });
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(/LATCHKEY_TOKEN|LATCHKEY_URL|the URL|this is a key/);
      for (const secret of [...tokens, "eyJ"]) expect(stderr).not.toContain(secret);
    }
  });

  test.each([
    [["keys", "show", ""]],
    [["keys", "show", "."]],
    [["keys", "disable", ".."]],
    [["keys", "revoke", "."]],
    [["keys", "revoke", "--owner", ".."]],
    [["keys", "revoke", "--family", ""]],
    [["limits", "reset", ".."]],
  ])("%j names nothing: it is refused and not another call", async (args) => {
    const { status, stdout, stderr } = await runHere(args, env);
    expect([status, stdout, stderr]).toEqual([2, "", expect.stringContaining("name nothing")]);
  });

  test("when a key is given where its id belongs: it goes nowhere", async () => {
    const { api_key } = await registerKey(latchkey.http);
    const { status, stderr } = await runHere(["keys", "revoke", api_key], {
      LATCHKEY_URL: "http://127.0.0.1:1",
    });
    expect([status, stderr]).toEqual([2, expect.stringContaining("does not belong on the command line")]);
  });
});

test("the credential may stand in a file; a key is renamed, its limits are filled, and the answers are JSON", async () => {
  const file = join(latchkey.cwd, "token");
  writeFileSync(file, `${production.ADMIN_TOKEN}\n`);
  const { LATCHKEY_TOKEN: _, ...rest } = env;
  const fromFile = { ...rest, LATCHKEY_TOKEN_FILE: file };
  const { key_id } = await registerKey(latchkey.http);
  const renamed = await runHere(["keys", "rename", key_id, "new name", "--json"], fromFile);
  expect(JSON.parse(renamed.stdout)).toMatchObject({ key_id, name: "new name" });
  const reset = await runHere(["limits", "reset", key_id, "--json"], fromFile);
  expect(JSON.parse(reset.stdout)).toEqual({ key_id, reset: true });
  const revoked = await runHere(["keys", "revoke", key_id, "--json"], fromFile);
  expect(JSON.parse(revoked.stdout)).toEqual({ revoked: { key_id } });
});

test("keys export gives the same from a live instance and, once it has ended, from its store", async () => {
  const own = await startLatchkey({ ADMIN_TOKEN: production.ADMIN_TOKEN });
  const operator = createClient({ url: `http://${own.operator}`, token: production.ADMIN_TOKEN });
  for (const owner of ["acme", "acme", "other"])
    await operator.register({ name: "n", key_type: "basic", owner });
  const args = ["keys", "export", "--owner", "acme"];
  const live = await runHere(args, { ...env, LATCHKEY_URL: `http://${own.operator}` });
  expect(live.stdout.trim().split("\n")).toHaveLength(2);
  const offline = { DATA_DIR: own.dataDir, POLICY_FILE: "./latchkey.yaml" };
  expect(said(await runHere(args, offline))).toEqual([
    1,
    expect.stringContaining("LATCHKEY_URL names the instance"),
  ]);
  await own.stop();
  expect(await runHere(args, offline)).toMatchObject({ status: 0, stdout: live.stdout });
});

describe("latchkey secrets", () => {
  test("prints the variables to set, and nothing else, on stdout; the rest on stderr", async () => {
    const secret = newSecret();
    const added = await runHere(["secrets", "add"], { JWT_SECRET: secret });
    expect(added.stdout).toMatch(new RegExp(`^JWT_SECRET=${secret}\nJWT_SECRET_PREVIOUS=[\\w-]{43}\n$`));
    expect(added.stderr).toContain("they hold secrets");
    const listed = await runHere(["secrets", "list"], { JWT_SECRET: secret });
    expect(listed.stdout).toMatch(/HS256 +JWT_SECRET +signs/);
    expect(listed.stdout + listed.stderr).not.toContain(secret);
  });

  test("edits JWT_KEYS_FILE, and never shows what stands in it", async () => {
    const file = { JWT_KEYS_FILE: join(latchkey.cwd, "keys.json") };
    expect(await runHere(["secrets", "add", "--alg", "EdDSA", "--kid", "a"], file)).toMatchObject({
      status: 0,
    });
    const again = await runHere(["secrets", "add", "--kid", "b", "--json"], file);
    expect(JSON.parse(again.stdout)).toMatchObject({ result: "changed", kid: "b" });
    expect(again.stdout).not.toContain('"d"');
    expect((await runHere(["secrets", "promote"], file)).stdout).toContain("b signs");
    expect(said(await runHere(["secrets", "retire"], file))).toEqual([
      1,
      expect.stringMatching(/a signed until .*--force/),
    ]);
    expect((await runHere(["secrets", "list"], file)).stdout).toMatch(/b +EdDSA.*signs.*a +EdDSA.*signed/s);
  });

  test("says in a sentence that a file cannot be written", async () => {
    const ran = await runHere(["secrets", "add"], {
      JWT_KEYS_FILE: join(latchkey.cwd, "nowhere", "keys.json"),
    });
    expect(said(ran)).toEqual([1, expect.stringMatching(/^latchkey: ENOENT[^\n]*\n$/)]);
  });
});

test("a key is bound by the command line to networks and to the certificate in a file, and explain tells of both", async () => {
  const client = await (await createCa()).issue("client");
  const bound = ["--addresses", "192.0.2.0/24,2001:db8::/32", "--certificate", client.certFile];
  const role = ["--name", "bound", "--role", "contributor"];
  const registered = await runHere(["keys", "register", ...role, ...bound, "--json"], env);
  const { key_id, api_key } = JSON.parse(registered.stdout);
  expect(JSON.parse((await runHere(["keys", "show", key_id, "--json"], env)).stdout)).toMatchObject({
    addresses: ["192.0.2.0/24", "2001:db8::/32"],
    cnf: { "x5t#S256": client.thumbprint },
  });
  const asked = ["explain", "--path", "/v1/models/x", "--key", "-", "--json"];
  const explained = (...from: string[]) =>
    JSON.parse(runLatchkey([...asked, ...from], env, api_key).stdout).reason;
  expect(explained("--address", "192.0.2.7")).toBe("certificate_mismatch");
  expect(explained("--certificate", client.certFile, "--address", "192.0.3.7")).toBe("address_not_allowed");
  expect(explained("--certificate", client.certFile, "--address", "192.0.2.7")).toBe("allowed");
  expect(said(await runHere(["keys", "register", ...role, "--certificate", client.keyFile], env))).toEqual([
    2,
    expect.stringContaining("a certificate in PEM"),
  ]);
});
