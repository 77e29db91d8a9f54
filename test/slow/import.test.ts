import { createWriteStream } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect, test } from "vitest";
import { startChild } from "../../scripts/child.ts";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM } from "../support/program.ts";

const LINES = 1_000_000;
/** Much less than the size of the file. */
const HEAP_MB = 48;

/** Creates a CSV file with a heading and this number of keys. */
async function fileOf(lines: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-import-"));
  removeAtEnd(folder);
  const file = join(folder, "keys.csv");
  const lineOf = (at: number) =>
    `key-of-another-system-${String(at).padStart(12, "0")},name ${at},basic,owner-${at % 1000},2024-01-01T00:00:00Z,\n`;
  const text = function* () {
    yield "api_key,name,role,owner,created_at,expires_at\n";
    for (let at = 0; at < lines; at += 1000)
      yield Array.from({ length: 1000 }, (_, more) => lineOf(at + more)).join("");
  };
  await pipeline(Readable.from(text()), createWriteStream(file));
  return file;
}

/** Runs `latchkey import` with little memory, and reads its peak in MB from /proc. */
async function importWithLittle(file: string, env: Readonly<Record<string, string>>) {
  const args = [`--max-old-space-size=${HEAP_MB}`, PROGRAM, "import", file];
  const child = await startChild(process.execPath, args, { env: { ...CLEAN_ENVIRONMENT, ...env } });
  let peakMb = 0;
  const poll = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }, 100);
  const code = await child.exited;
  clearInterval(poll);
  return { code, output: child.output(), peakMb };
}

test("a million lines are sent in memory that does not grow with the file", async () => {
  let sent = 0;
  // Counts the lines and reports all of them as imported.
  const server = createServer(async (request, response) => {
    let lines = 0;
    for await (const part of request) for (const byte of part) if (byte === 10) lines++;
    sent += lines + 1;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ imported: lines + 1, known: 0, refused: [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  const all = await importWithLittle(await fileOf(LINES), { LATCHKEY_URL: url });
  const few = await importWithLittle(await fileOf(LINES / 10), { LATCHKEY_URL: url });
  server.close();
  expect([all.code, few.code]).toEqual([0, 0]);
  // The heading counts as a line and is sent as an empty line, so that the line numbers agree.
  expect(sent).toBe(LINES + LINES / 10 + 2);
  expect(all.peakMb - few.peakMb).toBeLessThan(40);
});

test("an instance keeps responding while it imports tens of thousands of lines", async () => {
  const ADMIN_TOKEN = newSecret();
  const latchkey = await startLatchkey({ ADMIN_TOKEN });
  const client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  const { api_key } = await client.register({ name: "validated", key_type: "basic" });
  const file = await fileOf(30_000);
  const env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
  let importing = true;
  let slowestMs = 0;
  const validating = (async () => {
    while (importing) {
      const startMs = performance.now();
      await client.validate(api_key);
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
    }
  })();
  const beganMs = performance.now();
  const { code, output } = await importWithLittle(file, env);
  const importMs = performance.now() - beganMs;
  importing = false;
  await validating;
  expect([code, output]).toEqual([0, expect.stringContaining("30000 imported, 0 already known, 0 rejected")]);
  expect((await client.validate("key-of-another-system-000000029999")).role).toBe("basic");
  // Far above the latency of a request without load. Shows only that the import never blocks the instance for long.
  expect(slowestMs).toBeLessThan(Math.max(5000, importMs / 2));
  await latchkey.stop();
});
