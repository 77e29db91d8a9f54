import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startChild } from "../../scripts/child.ts";
import { createClient } from "../../src/client/client.ts";
import type { Deployment, Instance } from "../support/deployment.ts";
import { startDeployment } from "../support/deployment.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM, runHere, runLatchkey } from "../support/program.ts";

const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d }
  bulk: { scopes: [a], ttl: 7d, refresh_window: 1d }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 100000/s, failures: 100000/s }
`;

describe.each(["embedded", "redis"] as const)("an import into the %s store", (store) => {
  let deployment: Deployment;
  let first: Instance;
  let other: Instance;
  let cli: Record<string, string>;

  beforeAll(async () => {
    deployment = await startDeployment(store, POLICY);
    first = deployment.instances[0];
    other = deployment.instances[1] ?? first;
    cli = { LATCHKEY_URL: `http://${first.latchkey.operator}`, LATCHKEY_TOKEN: deployment.token };
  });
  afterAll(() => deployment?.stop());

  const imported = (...lines: readonly object[]) =>
    first.client.keys.import(lines.map((line) => JSON.stringify(line)).join("\n"));
  const fileOf = async (name: string, content: string | Buffer) => {
    const file = join(first.latchkey.cwd, name);
    await writeFile(file, content);
    return file;
  };
  const bulkKeys = async () =>
    (await first.client.migration.show()).roles.find(({ role }) => role === "bulk")?.keys ?? 0;

  test("makes plain and hashed keys valid everywhere, even after earlier denials, and can be repeated", async () => {
    const [plain, hashed] = [`old-system-${newSecret()}`, `old-system-${newSecret()}`];
    for (const key of [plain, hashed]) expect(await other.reasonOf(key)).toBe("credential_invalid");
    const api_key_hash = createHash("sha256").update(hashed).digest("hex");
    const lines = [
      { api_key: plain, role: "basic", name: "n", owner: "acme", created_at: "2020-01-01T00:00:00Z" },
      { api_key_hash: api_key_hash.toUpperCase(), role: "basic", name: "h" },
    ];
    expect(await imported(...lines)).toEqual({ imported: 2, known: 0, refused: [] });
    for (const key of [plain, hashed]) await expect.poll(() => other.reasonOf(key)).toBe("allowed");
    const { key_id } = await other.client.validate(plain);
    expect(await other.client.keys.show(key_id)).toMatchObject({
      owner: "acme",
      issued_at: "2020-01-01T00:00:00Z",
    });
    expect(await imported(...lines)).toEqual({ imported: 0, known: 2, refused: [] });
    // After its first use the key is stored under its own hash, so the plain key is known as the same key.
    const again = async () => (await imported({ api_key: hashed, role: "basic" })).known;
    await expect.poll(again).toBe(1);
    expect(await other.reasonOf(hashed)).toBe("allowed");
  });

  test("reports every rejected line by its number, without its key", async () => {
    const secret = `s3cret-${newSecret()}`;
    const { api_key: ours } = await other.client.registerLegacy({ name: "n", key_type: "basic" });
    const bad = [
      "{",
      JSON.stringify({ role: "basic" }),
      JSON.stringify({ api_key: secret, role: "emperor" }),
      JSON.stringify({ api_key: `${secret} x`, role: "basic" }),
      JSON.stringify({ api_key: `${secret}2`, api_key_hash: "0".repeat(64), role: "basic" }),
      JSON.stringify({ api_key_hash: "zz", role: "basic" }),
      JSON.stringify({ api_key: `${secret}3`, role: "basic", expires_at: "2001-01-01T00:00:00Z" }),
      JSON.stringify({ api_key: "a.b.ccccccc", role: "basic" }),
      JSON.stringify({ api_key: `${secret}4`, role: "basic", name: "\u0000" }),
      JSON.stringify({ api_key: `${secret}5`, role: "basic", admin: true }),
      JSON.stringify({ api_key: ours.slice(0, -1), role: "basic" }),
      JSON.stringify({ api_key: `${secret}6`, role: "basic", created_at: "2999-01-01T00:00:00Z" }),
      JSON.stringify({ api_key: `${secret}7`, role: "basic", expires_at: "yesterday" }),
      JSON.stringify({ api_key: `${secret}8`, role: "s3cret-of-another-column" }),
    ];
    const report = await first.client.keys.import(bad.join("\n"), { first_line: 5 });
    expect(report.refused.map(({ line }) => line)).toEqual(bad.map((_, at) => at + 5));
    expect(report.imported).toBe(0);
    expect(JSON.stringify(report)).not.toMatch(/s3cret|lk1_/);
  });

  test("imports a key once if it is repeated in a file, in simultaneous imports, or with another role", async () => {
    const api_key = `twice-${newSecret()}`;
    const line = { api_key, role: "basic" };
    expect(await imported(line, line)).toEqual({ imported: 1, known: 1, refused: [] });
    const detail = "the key is there already, with another role and owner";
    const another = { api_key, role: "bulk", owner: "acme" };
    expect(await imported(another)).toEqual({ imported: 0, known: 0, refused: [{ line: 1, detail }] });
    const [fresh, hashed] = [
      { ...line, api_key: `${api_key}-2` },
      createHash("sha256").update(`${api_key}-2`).digest("hex"),
    ];
    expect(await imported(fresh, { api_key_hash: hashed, role: "bulk" })).toMatchObject({
      imported: 1,
      refused: [{ line: 2, detail: "the key is there already, with another role" }],
    });
    const racing = { ...line, api_key: `${api_key}-3` };
    const both = await Promise.all(
      [first, other].map(({ client }) => client.keys.import(JSON.stringify(racing))),
    );
    expect(both.map((report) => [report.imported, report.known]).sort()).toEqual([
      [0, 1],
      [1, 0],
    ]);
  });

  test("can be repeated after it was killed, and has every key once", async () => {
    const line = (at: number) => JSON.stringify({ api_key: `many-keys-number-${at}`, role: "bulk" });
    const file = await fileOf(
      "many.jsonl",
      `${Array.from({ length: 6000 }, (_, at) => line(at)).join("\n")}\n`,
    );
    const before = await bulkKeys();
    const killed = await startChild(process.execPath, [PROGRAM, "import", file], {
      env: { ...CLEAN_ENVIRONMENT, ...cli },
    });
    await expect.poll(bulkKeys, { interval: 10 }).toBeGreaterThan(before);
    await killed.stop("SIGKILL");
    const { stdout, status } = await runHere(["import", file], cli);
    expect(await bulkKeys()).toBe(before + 6000);
    const [, now = 0, known = 0] = /: (\d+) imported, (\d+) already known/.exec(stdout)?.map(Number) ?? [];
    expect([now + known, known > 0, status]).toEqual([6000, true, 0]);
  });

  test("that the instance interrupts prints the line to continue from, and continues there", async () => {
    const line = (at: number) => JSON.stringify({ api_key: `cut-off-number-${at}`, role: "bulk" });
    const file = await fileOf(
      "cut.jsonl",
      `${Array.from({ length: 2500 }, (_, at) => line(at)).join("\n")}\n`,
    );
    const before = await bulkKeys();
    const { url, close } = await failingAfter(2, first);
    const cut = await runHere(["import", file], { ...cli, LATCHKEY_URL: url });
    expect([cut.status, cut.stderr]).toEqual([
      3,
      expect.stringContaining("the lines up to 2000 are processed: continue with --from-line 2001"),
    ]);
    close();
    expect(await bulkKeys()).toBe(before + 2000);
    const went = await runHere(["import", file, "--from-line", "2001"], cli);
    expect(went).toMatchObject({
      status: 0,
      stdout: "2500 lines: 500 imported, 0 already known, 0 rejected\n",
    });
    expect((await runHere(["import", file, "--from-line", "x"], cli)).status).toBe(2);
  });
});

/** A proxy that forwards this number of calls and then closes every connection. */
async function failingAfter(
  calls: number,
  { latchkey }: Instance,
): Promise<{ url: string; close: () => void }> {
  let seen = 0;
  const server: Server = createServer(async (request, response) => {
    if (++seen > calls) return void response.destroy();
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(Buffer.from(part));
    const { authorization = "", "content-type": type = "" } = request.headers;
    const upstreamResponse = await fetch(`http://${latchkey.operator}${request.url}`, {
      method: "POST",
      headers: { authorization, "content-type": type },
      body: Buffer.concat(parts),
    });
    response
      .writeHead(upstreamResponse.status, { "content-type": "application/json" })
      .end(await upstreamResponse.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

describe("an import file", () => {
  const ADMIN_TOKEN = newSecret();
  let latchkey: Awaited<ReturnType<typeof startLatchkey>>;
  let cli: Record<string, string>;

  beforeAll(async () => {
    latchkey = await startLatchkey({ ADMIN_TOKEN }, { policy: POLICY });
    cli = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
  });
  afterAll(() => latchkey?.stop());

  const importOf = async (name: string, content: string | Buffer, ...args: readonly string[]) => {
    const file = join(latchkey.cwd, name);
    await writeFile(file, content);
    const { status, stdout, stderr } = await runHere(["import", file, ...args], cli);
    return { status, stdout, stderr: stderr.replaceAll(`${latchkey.cwd}/`, "") };
  };
  const isGood = async (key: string) =>
    createClient({ url: `http://${latchkey.http}` })
      .validate(key)
      .then(({ valid }) => valid)
      .catch(() => false);

  test("of CSV is read with its byte order mark, quotes and line endings; a dry run writes nothing", async () => {
    const key = `from-csv-${newSecret()}`;
    const csv = `\uFEFFname,api_key,role\r\n"A ""quoted"", name",${key},basic\r\nbroken,,basic\r\n"open,x,basic\r\na,b\r\n\r\n`;
    const dry = await importOf("keys.csv", csv, "--dry-run");
    expect(dry.stdout).toContain("1 would be imported");
    expect(await isGood(key)).toBe(false);
    const { status, stdout, stderr } = await importOf("keys.CSV", csv);
    expect([status, stdout]).toEqual([1, "6 lines: 1 imported, 0 already known, 3 rejected\n"]);
    expect(stderr.trimEnd().split("\n").sort()).toEqual([
      expect.stringContaining("keys.CSV:3: needs api_key or api_key_hash"),
      "keys.CSV:4: has a misplaced or unclosed quote",
      "keys.CSV:5: has 2 fields, but the heading has 3",
    ]);
    expect(await isGood(key)).toBe(true);
    const again = await importOf("keys.csv", csv, "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ imported: 0, known: 1, refused_lines: 3, lines: 6 });
  });

  test("of CSV with an unknown field in its heading is rejected as a whole, because it would lose the field", async () => {
    const { status, stderr } = await importOf(
      "typo.csv",
      `api_key,role,expires\nsome-key-${newSecret()},basic,2027-01-01T00:00:00Z\n`,
    );
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('typo.csv: the heading has unknown fields: "expires"; the heading may have'),
    ]);
  });

  test("that is truncated has its partial line of JSON rejected, and its partial line of CSV reported", async () => {
    const line = JSON.stringify({ api_key: `half-${newSecret()}`, role: "basic" });
    const half = await importOf("half.jsonl", `${line}\n${line.slice(0, 30)}`);
    expect(half).toMatchObject({
      status: 1,
      stderr: "half.jsonl:2: is not JSON\n",
      stdout: expect.stringContaining("1 imported"),
    });
    const cut = await importOf("half.csv", `role,api_key\nbasic,half-${newSecret()}`);
    expect(cut.stderr).toBe(
      "half.csv:2: has no line break at its end; if the file was truncated, this line is incomplete\n",
    );
  });

  test("in another encoding is rejected as a whole; a line that is too long or not UTF-8 is rejected alone", async () => {
    const valid = JSON.stringify({ api_key: `encoded-${newSecret()}`, role: "basic", name: "Zoë\u2028x" });
    for (const encoding of ["utf16le", "latin1"] as const) {
      const { status, stderr } = await importOf(
        `${encoding}.jsonl`,
        Buffer.from(`\uFEFF${valid}\n`, encoding),
      );
      const wanted = encoding === "latin1" ? ":1: is not" : ": is not UTF-8 text (UTF-16?): save it as UTF-8";
      expect([status, stderr]).toEqual([
        encoding === "latin1" ? 1 : 2,
        expect.stringContaining(`${encoding}.jsonl${wanted}`),
      ]);
    }
    const odd = Buffer.concat([
      Buffer.from("\uFEFF"),
      Buffer.from(`{"api_key":"odd-${newSecret()}","role":"basic","name":"`),
      Buffer.from([0xff]),
      Buffer.from(`"}\n${"x".repeat(2_000_000)}\n${valid.replace("\\u2028", "")}\n`),
    ]);
    const { status, stdout, stderr } = await importOf("odd.jsonl", odd);
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining(
        "odd.jsonl:1: is not UTF-8, or is too long\nodd.jsonl:2: is not UTF-8, or is too long\n",
      ),
    ]);
    expect(stdout).toContain("3 lines:");
  });

  test("is imported except for lines with a repeated member or, in CSV, without valid UTF-8", async () => {
    const key = () => `strict-${newSecret()}`;
    const twice = `{"api_key":"${key()}","name":"x","role":"basic","role":"basic"}\n`;
    const valid = `{"api_key":"${key()}","name":"x","role":"basic"}\n`;
    expect(await importOf("twice.jsonl", twice + valid)).toMatchObject({
      status: 1,
      stderr: "twice.jsonl:1: has a member twice\n",
      stdout: expect.stringContaining("1 imported"),
    });
    const csv = Buffer.concat([
      Buffer.from(`role,name,api_key\nbasic,a`),
      Buffer.from([0xff]),
      Buffer.from(`,${key()}\nbasic,b,${key()}\n`),
    ]);
    expect(await importOf("odd.csv", csv)).toMatchObject({
      status: 1,
      stderr: "odd.csv:2: is not UTF-8, or is too long\n",
      stdout: expect.stringContaining("1 imported"),
    });
  });

  test("that does not exist, or is a folder, is reported in one sentence", async () => {
    expect(await runHere(["import", join(latchkey.cwd, "none")], cli)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("no such file"),
    });
    expect(await runHere(["import", latchkey.cwd], cli)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("is not a file"),
    });
    expect(await importOf("empty.jsonl", "")).toMatchObject({
      status: 0,
      stdout: "0 lines: 0 imported, 0 already known, 0 rejected\n",
    });
  });

  test("has a progress bar on a terminal, with the rejected lines above it", async () => {
    const file = join(latchkey.cwd, "bar.jsonl");
    await writeFile(file, `${"{\n".repeat(1500)}`);
    // `script` of util-linux provides a terminal.
    const child = await startChild(
      "script",
      ["-qec", `${process.execPath} ${PROGRAM} import ${file}`, "/dev/null"],
      { env: { ...CLEAN_ENVIRONMENT, ...cli } },
    );
    await child.exited;
    expect(child.output()).toMatch(/\r█+░* \d+% {2}1000 lines[\s\S]*\r█{30} 100% {2}1500 lines\r?\n/);
    expect(child.output()).toMatch(/\r\s+\r+[^\r\n█]*bar\.jsonl:1500: is not JSON\r\n/);
  });
});

test("without an instance the import writes directly to the store, under its lock", async () => {
  const ADMIN_TOKEN = newSecret();
  const own = await startLatchkey({ ADMIN_TOKEN }, { policy: POLICY });
  const file = join(own.cwd, "keys.jsonl");
  const key = `offline-${newSecret()}`;
  await writeFile(file, `${JSON.stringify({ api_key: key, role: "basic" })}\n`);
  const offline = { DATA_DIR: own.dataDir, POLICY_FILE: join(own.cwd, "latchkey.yaml") };
  expect(runLatchkey(["import", file], offline)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("another process uses"),
  });
  await own.stop();
  expect(runLatchkey(["import", file], offline)).toMatchObject({
    status: 0,
    stdout: "1 lines: 1 imported, 0 already known, 0 rejected\n",
  });
  const again = await startLatchkey({ ADMIN_TOKEN, DATA_DIR: own.dataDir }, { policy: POLICY });
  expect(await createClient({ url: `http://${again.http}` }).validate(key)).toMatchObject({ role: "basic" });
  await again.stop();
});
