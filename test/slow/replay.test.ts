import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, createWriteStream, mkdtempSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM, runLatchkey } from "../support/program.ts";
import { startUpstream } from "../support/upstream.ts";

const BASIC = "  basic: { scopes: [chat:read, chat:write], ttl: 7d, refresh_window: 1d, self_service: true }";
const THEN = `roles:
${BASIC}
routes:
  - { path: /v1/chat/**, methods: [GET], scopes: [chat:read] }
  - { path: /public/**, public: true }
audit: { requests: all }
`;
const NOW = `roles:
${BASIC.replace("chat:read, ", "")}
  pro: { scopes: [chat:read], ttl: 7d, refresh_window: 1d }
routes:
  - { path: /v1/chat/**, methods: [GET], scopes: [chat:read] }
  - { path: /v1/models/**, methods: [GET] }
`;

let folder: string;
const inFolder = (name: string, text?: string | Buffer) => {
  const path = join(folder, name);
  if (text !== undefined) writeFileSync(path, text);
  return path;
};
const replay = (...args: readonly string[]) =>
  runLatchkey(["policy", "replay", ...args, "--policy", join(folder, "now.yaml")]);
const reportOf = (...args: readonly string[]) => JSON.parse(replay(...args, "--json").stdout);

/** A line in the format of the audit log. */
const line = (fields: object) =>
  `${JSON.stringify({ audit: "API_AUDIT", kind: "request", time: "2027-01-01T00:00:00.000Z", reason: "allowed", mode: "enforce", key_id: "basic_1_x", family: "fam_x", role: "basic", scopes: ["chat:read", "chat:write"], method: "GET", host: "h", scheme: "https", path: "/v1/chat/x", address: "192.0.2.1", ...fields })}\n`;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "latchkey-replay-"));
  removeAtEnd(folder);
  inFolder("now.yaml", NOW);
});

test("a replay of real requests reports which decisions change, for which role, and which are undetermined", async () => {
  const [latchkey, upstream] = await Promise.all([
    startLatchkey({ ADMIN_TOKEN: newSecret() }, { policy: THEN }),
    startUpstream(),
  ]);
  const envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  const client = createClient({ url: `http://${latchkey.http}` });
  const { api_key } = await client.register({ name: "n", key_type: "basic" });
  const statusOf = async (path: string, key?: string) => {
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    return (await fetch(`http://127.0.0.1:${envoy.port}${path}`, { headers })).status;
  };
  expect(await statusOf("/v1/chat/x?secret=1", api_key)).toBe(200);
  expect(await statusOf("/v1/chat/y", api_key)).toBe(200);
  expect(await statusOf("/v1/models/x", api_key)).toBe(403);
  expect(await statusOf("/v1/chat/x")).toBe(401);
  expect(await statusOf("/v1/chat/x;p=1", api_key)).toBe(400);
  expect(await statusOf("/public/x")).toBe(200);
  await Promise.all([envoy.stop(), upstream.stop()]);
  await latchkey.stop();
  const log = join(latchkey.cwd, "logs/api.log");
  const replayed = replay(log);
  expect(replayed.stdout).toMatch(/^2 +\/v1\/chat\/\*\* +basic +allowed +scope_missing +\S+api\.log:\d+$/m);
  expect(replayed.stdout).toMatch(/^1 +\/v1\/models\/\*\* +basic +route_unknown +allowed /m);
  expect(replayed.stdout).toContain("6 requests: 2 decided as before, 3 differently, 1 undetermined");
  expect(replayed.stdout).toContain("  1: no key was required then");
  expect(replayed.stdout).toContain("rate limits are not replayed");
  expect(replayed).toMatchObject({ status: 0, stderr: "" });
  // The policy that decided the requests changes nothing.
  writeFileSync(join(folder, "then.yaml"), THEN);
  const same = runLatchkey(["policy", "replay", log, "--policy", join(folder, "then.yaml"), "--json"]);
  expect(JSON.parse(same.stdout)).toMatchObject({ requests: 6, same: 6, changed: 0, untold: 0, changes: [] });
});

describe("files", () => {
  test("may be several and compressed; invalid lines are listed by number, other lines are ignored", () => {
    const first = inFolder(
      "a.log",
      `${line({})}{"level":"info","msg":"ready"}\n\n${line({ kind: "lifecycle" })}`,
    );
    appendFileSync(first, `half a line\n${line({ reason: "because" })}[]\n`);
    appendFileSync(first, Buffer.from([0xff, 0x0a]));
    appendFileSync(first, `${"x".repeat(3_000_000)}\n${line({ kind: "gap", lines: 7 })}`);
    const second = inFolder(
      "b.log.gz",
      gzipSync(line({ method: "POST", reason: "route_unknown" }).trimEnd()),
    );
    const report = reportOf(first, second);
    expect(report).toMatchObject({
      lines: 11,
      requests: 2,
      same: 1,
      changed: 1,
      untold: 0,
      missing: 7,
      bad: 5,
    });
    expect(report.bad_lines).toEqual([5, 6, 7, 8, 9].map((number) => ({ file: first, line: number })));
    expect(report.unseen).toContain("7 requests left no line, because the queue of the audit log was full");
    expect(replay(first).stdout).toContain(`5 invalid lines, ignored:\n  ${first}:5`);
  });

  test("that contain only denials are reported as such", () => {
    const denials = inFolder("denials.log", line({ reason: "scope_missing" }));
    expect(replay(denials).stdout).toContain("no request here was allowed");
  });

  test("that are damaged end with exit code 1, and a missing file or option with 2", () => {
    const log = inFolder("valid.log", line({}));
    expect(replay(join(folder, "none.log"))).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("none.log: there is no such file"),
    });
    expect(replay(folder).status).toBe(2);
    const invalid = inFolder("bad.yaml", "roles: 1\n");
    const invalidPolicy = runLatchkey(["policy", "replay", log, "--policy", invalid]);
    expect(invalidPolicy).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringContaining("bad.yaml:1"),
    });
    expect(runLatchkey(["policy", "replay", log]).status).toBe(2);
    const broken = inFolder("broken.log.gz", gzipSync(line({}).repeat(1000)).subarray(0, 60));
    expect(replay(broken)).toMatchObject({ status: 1, stderr: expect.stringContaining("broken.log.gz") });
  });

  test("cannot control the terminal or fill the memory with groups", () => {
    const roles = Array.from({ length: 3000 }, (_, at) =>
      line({ role: `\u001b[2J${at}`, reason: "scope_missing" }),
    );
    const evil = inFolder("evil.log", roles.join(""));
    expect(replay(evil).stdout).not.toContain("\u001b");
    const { changes, changed } = reportOf(evil);
    expect([changed, changes.length, changes[0].role]).toEqual([3000, 1001, "other"]);
  });
});

test("100,000 lines are replayed in bounded memory", async () => {
  const path = join(folder, "large.log");
  const file = createWriteStream(path);
  const more = {
    decision_id: randomUUID(),
    request_id: randomUUID(),
    prev: "p".repeat(43),
    hmac: "h".repeat(43),
  };
  for (let at = 0; at < 100_000; at++) {
    const text = line({ path: `/v1/chat/${at}`, key_id: `basic_1_${at}`, ...more });
    if (!file.write(text)) await once(file, "drain");
  }
  await new Promise<void>((resolve) => file.end(resolve));
  expect(statSync(path).size).toBeGreaterThan(50_000_000);
  const replayed = runLatchkey(["policy", "replay", path, "--policy", join(folder, "now.yaml"), "--json"], {
    NODE_OPTIONS: "--max-old-space-size=32",
  });
  expect(replayed).toMatchObject({ status: 0, stderr: "" });
  expect(JSON.parse(replayed.stdout)).toMatchObject({ requests: 100_000, changed: 100_000 });
});

test("a terminal shows a progress bar", () => {
  const path = inFolder("some.log", line({}).repeat(100));
  const args = [process.execPath, PROGRAM, "policy", "replay", path, "--policy", join(folder, "now.yaml")];
  const command = args.map((arg) => `'${arg}'`).join(" ");
  const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
    encoding: "utf8",
    env: CLEAN_ENVIRONMENT,
  });
  expect(stdout).toMatch(/\r█+ 100% {2}100 lines\r\n/);
});
