import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runLatchkey } from "../support/program.ts";
import { replaceFile } from "../support/replace-file.ts";

const ADMIN_TOKEN = newSecret();
const CASES = fileURLToPath(new URL("../cases/", import.meta.url));

function policyWith(routes: string): string {
  return `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true, rate_limits: [{ name: n, per: key, capacity: 5, refill: 1/h }] }
routes: [${routes}]
`;
}

let latchkey: TestedLatchkey;
let client: LatchkeyClient;

beforeAll(async () => {
  latchkey = await startLatchkey(
    { JWT_SECRET: newSecret(), ADMIN_TOKEN },
    { policy: policyWith("{ path: /one, scopes: [a] }") },
  );
  client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
});

afterAll(async () => {
  await latchkey?.stop();
});

const replacePolicy = (text: string) => replaceFile(join(latchkey.cwd, "latchkey.yaml"), text);

const routeOf = async (path: string) =>
  (await client.explain({ method: "GET", path, key: "none" })).steps[1]?.observed;
const activeHash = async () => (await client.policy.show()).hash;

describe("a changed policy", () => {
  test("is loaded automatically", async () => {
    const before = await activeHash();
    await replacePolicy(policyWith("{ path: /two, scopes: [a] }"));
    await expect.poll(activeHash).not.toBe(before);
    expect(await routeOf("/two")).toContain("/two");
    expect(await routeOf("/one")).toBe("no route of the policy");
  });

  test("is loaded at once on an operator's request, and a repeated request changes nothing", async () => {
    await replacePolicy(policyWith("{ path: /three, scopes: [a] }"));
    expect((await client.policy.reload()).result).toBe("taken");
    expect((await client.policy.reload()).result).toBe("unchanged");
    expect((await client.policy.show()).text).toContain("/three");
  });

  test("is loaded on SIGHUP", async () => {
    const before = await activeHash();
    await replacePolicy(policyWith("{ path: /four, scopes: [a] }"));
    process.kill(latchkey.pid, "SIGHUP");
    await expect.poll(activeHash).not.toBe(before);
  });

  test("with a mistake is rejected and reported, and the old policy stays active", async () => {
    const before = await activeHash();
    await replacePolicy(policyWith("{ path: /five, scopes: [b] }"));
    await expect(client.policy.reload()).rejects.toMatchObject({
      status: 422,
      reason: "policy-refused",
      detail: expect.stringContaining('latchkey.yaml:4: routes[0].scopes[0]: unknown scope "b"'),
    });
    expect(await activeHash()).toBe(before);
    const metrics = async () => (await fetch(`http://${latchkey.ops}/metrics`)).text();
    await expect.poll(metrics).toMatch(/latchkey_policy_reloads_total\{result="refused"\} [1-9]/);
    expect(await metrics()).toContain(`latchkey_policy_info{hash="${before}"} 1`);
    await expect.poll(latchkey.output).toContain("the old policy stays in force");
  });

  test("is visible only to an operator", async () => {
    const anonymous = createClient({ url: `http://${latchkey.operator}` });
    await expect(anonymous.policy.show()).rejects.toMatchObject({ status: 401 });
    const { api_key } = await registerKey(latchkey.http);
    const holder = createClient({ url: `http://${latchkey.operator}`, token: api_key });
    await expect(holder.policy.reload()).rejects.toMatchObject({ status: 403 });
    await expect(holder.explain({ method: "GET", path: "/" })).rejects.toMatchObject({ status: 403 });
  });
});

describe("latchkey explain", () => {
  test("prints each step, spends no tokens, and never prints the key", async () => {
    await replacePolicy(policyWith("{ path: /a/**, scopes: [a] }"));
    await client.policy.reload();
    const { api_key, key_id } = await registerKey(latchkey.http);
    const env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    const described = { method: "GET", path: "/a/b", key: api_key };
    for (let times = 0; times < 6; times++) expect((await client.explain(described)).verdict).toBe("allow");
    const args = ["explain", "--path", "/a/b?c=d", "--key", "-"];
    const { stdout, stderr, status } = runLatchkey(args, env, `${api_key}\n`);
    expect(status).toBe(0);
    expect(stdout).toMatch(/allowed$/m);
    expect(stdout).toContain(key_id);
    expect(stdout).toContain("n: 5 of 5");
    expect(stdout + stderr + latchkey.output()).not.toContain(api_key);
  });

  test("prints the reason of a denial, and rejects a key on the command line", async () => {
    const env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    expect(runLatchkey(["explain", "--path", "/a/../b"], env).stdout).toContain(
      "dot segment  request_malformed",
    );
    expect(runLatchkey(["explain", "--path", "/a"], env).stdout).toMatch(
      /denied: credential_missing \(401\)/,
    );
    expect(runLatchkey(["explain", "--path", "/a", "--key", "secret"], env)).toMatchObject({ status: 2 });
  });
});

describe("latchkey policy", () => {
  test("check reports that a file is valid, or all of its problems", async () => {
    expect(runLatchkey(["policy", "check", join(CASES, "policy.yaml")])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/policy\.yaml: valid, policy [0-9a-f]{12} with 5 roles and 5 plans\n$/),
    });
    const bad = join(latchkey.cwd, "bad.yaml");
    await writeFile(bad, "defaults: { unmached: deny }\nroutes:\n  - { path: /a/**/b }\n");
    const { status, stderr } = runLatchkey(["policy", "check", bad]);
    expect(status).toBe(1);
    expect(stderr).toContain('bad.yaml:1: defaults.unmached: unknown field, did you mean "unmatched"?');
    expect(runLatchkey(["policy", "check", "nowhere.yaml"])).toMatchObject({ status: 2 });
  });

  test("test runs the cases beside a policy, and reports which fail and why", async () => {
    const policy = join(CASES, "policy.yaml");
    expect(
      runLatchkey(["policy", "test", policy, "--cases", join(CASES, "limits.cases.yaml")]),
    ).toMatchObject({
      status: 0,
      stdout: "34 passed, 0 failed\n",
    });
    const file = join(latchkey.cwd, "mine.yaml");
    await writeFile(file, policyWith("{ path: /a/**, scopes: [a] }"));
    await writeFile(
      join(latchkey.cwd, "mine.cases.yaml"),
      "keys: { k: { role: basic } }\ncases:\n  - { name: good, request: GET /a, key: k, expect: allowed }\n" +
        "  - { name: wrong, request: GET /b, key: k, expect: allowed }\n",
    );
    const { status, stdout, stderr } = runLatchkey(["policy", "test", file]);
    expect([status, stdout]).toEqual([1, "1 passed, 1 failed\n"]);
    expect(stderr).toContain("mine.cases.yaml:4: wrong: decided: route_unknown, not allowed");
  });
});
