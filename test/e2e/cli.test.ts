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

const resultOf = ({ status, stderr }: Ran) => [status, stderr];

describe("a command prints a hint", () => {
  test("at the wrong listener, and with a missing, invalid or insufficient token", async () => {
    const list = async (changed: Readonly<Record<string, string>>) =>
      resultOf(await runHere(["keys", "list"], { ...env, ...changed }));
    expect(await list({ LATCHKEY_URL: `http://${latchkey.http}` })).toEqual([
      1,
      expect.stringMatching(
        /404 not-found.*is not the operator listener: use the address in OPERATOR_LISTEN/s,
      ),
    ]);
    expect(await list({ LATCHKEY_TOKEN: "" })).toEqual([
      1,
      expect.stringContaining("LATCHKEY_TOKEN is not set"),
    ]);
    expect(await list({ LATCHKEY_TOKEN: newSecret() })).toEqual([
      1,
      expect.stringContaining("does not accept the credential in LATCHKEY_TOKEN"),
    ]);
    const { api_key } = await registerKey(latchkey.http);
    expect(await list({ LATCHKEY_TOKEN: api_key })).toEqual([1, expect.stringContaining("needs the scope")]);
    const unknown = await runHere(["keys", "show", "basic_1_abcdefghijklmnopqrstuv"], env);
    expect(resultOf(unknown)).toEqual([1, expect.not.stringContaining("operator listener")]);
  });

  test("if no server or another server responds, and if the URL is invalid", async () => {
    const otherServer = createServer((_, response) => response.end("<html>"));
    await once(otherServer.listen(0, "127.0.0.1"), "listening");
    const address = otherServer.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const ran = await runHere(["keys", "list"], { ...env, LATCHKEY_URL: `http://127.0.0.1:${port}` });
    expect(resultOf(ran)).toEqual([3, expect.stringContaining("sent a response that is not from Latchkey")]);
    otherServer.close();
    expect(resultOf(await runHere(["keys", "list"], { LATCHKEY_URL: "http://127.0.0.1:1" }))).toEqual([
      3,
      expect.stringMatching(/does not respond.*LATCHKEY_URL/),
    ]);
    expect(resultOf(await runHere(["keys", "list"], { LATCHKEY_URL: "localhost:8000" }))).toEqual([
      2,
      expect.stringContaining("LATCHKEY_URL must be a URL"),
    ]);
  });

  test("if a credential cannot be sent; it sends nothing and does not print the credential", async () => {
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
  ])("if a name would change the path of the call: %j", async (args) => {
    const { status, stdout, stderr } = await runHere(args, env);
    expect([status, stdout, stderr]).toEqual([2, "", expect.stringContaining("are not valid names")]);
  });

  test("if a key is given instead of its id; it does not send the key", async () => {
    const { api_key } = await registerKey(latchkey.http);
    const { status, stderr } = await runHere(["keys", "revoke", api_key], {
      LATCHKEY_URL: "http://127.0.0.1:1",
    });
    expect([status, stderr]).toEqual([2, expect.stringContaining("does not belong on the command line")]);
  });
});

test("with the credential in a file, a key is renamed, its buckets are refilled, and results are JSON", async () => {
  const file = join(latchkey.cwd, "token");
  writeFileSync(file, `${production.ADMIN_TOKEN}\n`);
  const { LATCHKEY_TOKEN: _, ...rest } = env;
  const fromFile = { ...rest, LATCHKEY_TOKEN_FILE: file };
  const { key_id } = await registerKey(latchkey.http);
  const renamed = await runHere(["keys", "rename", key_id, "new name", "--json"], fromFile);
  expect(JSON.parse(renamed.stdout)).toMatchObject({ key_id, name: "new name" });
  const reset = await runHere(["limits", "reset", key_id, "--json"], fromFile);
  expect(JSON.parse(reset.stdout)).toEqual({ key_id, reset: true });
  const { family } = JSON.parse((await runHere(["keys", "show", key_id, "--json"], fromFile)).stdout);
  const counted = await runHere(["keys", "count", "--family", family], fromFile);
  expect(counted.stdout).toMatch(/^live +1$/m);
  const preview = await runHere(["keys", "revoke", "--family", family, "--dry-run"], fromFile);
  expect(preview.stdout).toBe("would revoke 1 live keys of 1, last used never\n");
  expect((await runHere(["keys", "revoke", key_id, "--dry-run"], fromFile)).stdout).toContain(
    ": active, last used",
  );
  const revoked = await runHere(["keys", "revoke", key_id, "--json"], fromFile);
  expect(JSON.parse(revoked.stdout)).toEqual({ revoked: { key_id } });
});

test("keys export prints the same for a live instance and, after its stop, for its store", async () => {
  const own = await startLatchkey({ ADMIN_TOKEN: production.ADMIN_TOKEN });
  const operator = createClient({ url: `http://${own.operator}`, token: production.ADMIN_TOKEN });
  for (const owner of ["acme", "acme", "other"])
    await operator.register({ name: "n", key_type: "basic", owner });
  const args = ["keys", "export", "--owner", "acme"];
  const live = await runHere(args, { ...env, LATCHKEY_URL: `http://${own.operator}` });
  expect(live.stdout.trim().split("\n")).toHaveLength(2);
  const offline = { DATA_DIR: own.dataDir, POLICY_FILE: "./latchkey.yaml" };
  expect(resultOf(await runHere(args, offline))).toEqual([
    1,
    expect.stringContaining("set LATCHKEY_URL to its URL"),
  ]);
  await own.stop();
  expect(await runHere(args, offline)).toMatchObject({ status: 0, stdout: live.stdout });
});

describe("latchkey secrets", () => {
  test("prints only the variables to set on stdout, and messages on stderr", async () => {
    const secret = newSecret();
    const added = await runHere(["secrets", "add"], { JWT_SECRET: secret });
    expect(added.stdout).toMatch(new RegExp(`^JWT_SECRET=${secret}\nJWT_SECRET_PREVIOUS=[\\w-]{43}\n$`));
    expect(added.stderr).toContain("they hold secrets");
    const listed = await runHere(["secrets", "list"], { JWT_SECRET: secret });
    expect(listed.stdout).toMatch(/HS256 +JWT_SECRET +signs/);
    expect(listed.stdout + listed.stderr).not.toContain(secret);
  });

  test.each([
    ["kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk33", "-FxiYhBRpUhwsOhf"],
    ["kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk4384", "-hZ-wt23-QZtn3Mw"],
  ])("takes a kid that begins with a hyphen: %s", async (waiting, kid) => {
    const signing = newSecret();
    const before = { JWT_SECRET: signing, JWT_SECRET_PREVIOUS: waiting };
    const promoted = await runHere(["secrets", "promote", kid, "--json"], before);
    expect(JSON.parse(promoted.stdout)).toMatchObject({ kid, variables: { JWT_SECRET: waiting } });
    const after = { JWT_SECRET: signing, JWT_SECRET_PREVIOUS: waiting };
    const retired = await runHere(["secrets", "retire", kid, "--force", "--json"], after);
    expect(JSON.parse(retired.stdout)).toMatchObject({ result: "changed", kid });
  });

  test("edits JWT_KEYS_FILE and never prints a private part", async () => {
    const file = { JWT_KEYS_FILE: join(latchkey.cwd, "keys.json") };
    expect(await runHere(["secrets", "add", "--alg", "EdDSA", "--kid", "a"], file)).toMatchObject({
      status: 0,
    });
    const again = await runHere(["secrets", "add", "--kid", "b", "--json"], file);
    expect(JSON.parse(again.stdout)).toMatchObject({ result: "changed", kid: "b" });
    expect(again.stdout).not.toContain('"d"');
    expect((await runHere(["secrets", "promote"], file)).stdout).toContain("b signs");
    expect(resultOf(await runHere(["secrets", "retire"], file))).toEqual([
      1,
      expect.stringMatching(/a signed until .*--force/),
    ]);
    expect((await runHere(["secrets", "list"], file)).stdout).toMatch(/b +EdDSA.*signs.*a +EdDSA.*signed/s);
  });

  test("reports in one line that a file cannot be written", async () => {
    const ran = await runHere(["secrets", "add"], {
      JWT_KEYS_FILE: join(latchkey.cwd, "nowhere", "keys.json"),
    });
    expect(resultOf(ran)).toEqual([1, expect.stringMatching(/^latchkey: ENOENT[^\n]*\n$/)]);
  });
});

test("keys register binds a key to networks and to the certificate in a file, and explain reports both", async () => {
  const client = await (await createCa()).issue("client");
  const bound = ["--addresses", "192.0.2.0/24,2001:db8::/32", "--certificate", client.certFile];
  const role = ["--name", "bound", "--role", "contributor"];
  const registered = await runHere(["keys", "register", ...role, ...bound, "--json"], env);
  const { key_id, api_key } = JSON.parse(registered.stdout);
  expect(JSON.parse((await runHere(["keys", "show", key_id, "--json"], env)).stdout)).toMatchObject({
    addresses: ["192.0.2.0/24", "2001:db8::/32"],
    cnf: { "x5t#S256": client.thumbprint },
  });
  const command = ["explain", "--path", "/v1/models/x", "--key", "-", "--json"];
  const explained = (...from: string[]) =>
    JSON.parse(runLatchkey([...command, ...from], env, api_key).stdout).reason;
  expect(explained("--address", "192.0.2.7")).toBe("certificate_mismatch");
  expect(explained("--certificate", client.certFile, "--address", "192.0.3.7")).toBe("address_not_allowed");
  expect(explained("--certificate", client.certFile, "--address", "192.0.2.7")).toBe("allowed");
  expect(
    resultOf(await runHere(["keys", "register", ...role, "--certificate", client.keyFile], env)),
  ).toEqual([2, expect.stringContaining("a certificate in PEM")]);
});
