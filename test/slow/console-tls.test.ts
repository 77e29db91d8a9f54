import { afterAll, beforeAll, expect, test } from "vitest";
import { createCa } from "../support/certificates.ts";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, signIn, startConsole } from "../support/console.ts";
import { newSocket } from "../support/latchkey.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

let redis: TestedRedis;
let tested: TestedConsole;

beforeAll(async () => {
  redis = await startRedis();
  const { certFile, keyFile } = await (await createCa()).issue("localhost");
  tested = await startConsole({
    env: {
      ...{ HTTP_TLS_CERT: certFile, HTTP_TLS_KEY: keyFile },
      REDIS_URL: redis.url,
      ...{ WORKERS: "2", GRPC_LISTEN: await newSocket() },
    },
  });
});
afterAll(async () => {
  await tested?.stop();
  await redis?.stop();
});

test("over HTTPS the cookie is bound to the host, and a session works on every worker", async () => {
  const origin = `https://${tested.latchkey.http}`;
  const context = await tested.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const violations = await collectViolations(page);
  await page.goto(`${origin}/console`);
  await signIn(page, tested.adminToken);
  await page.getByRole("row", { name: "this one" }).waitFor();
  const cookies = await context.cookies();
  expect(cookies.map(({ value: _, expires: __, ...cookie }) => cookie)).toEqual([
    {
      name: "__Host-latchkey-console",
      domain: "127.0.0.1",
      path: "/",
      httpOnly: true,
      secure: true,
      sameSite: "Strict",
    },
  ]);
  const proof = await page.evaluate<string>('localStorage.getItem("latchkey-console-proof")');
  const headers = {
    host: tested.latchkey.http,
    cookie: `__Host-latchkey-console=${cookies[0]?.value}`,
    "x-latchkey-console": proof,
  };
  // Each call has its own connection, and the workers take turns.
  const call = { path: "/api/admin/status", headers, tls: { rejectUnauthorized: false } };
  const port = Number(tested.latchkey.http.split(":").at(-1));
  const answers = await Promise.all(Array.from({ length: 12 }, () => sendRaw(port, call)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  // A page under clear text at the same address is another origin.
  const planted = { ...call, headers: { ...headers, origin: `http://${tested.latchkey.http}` } };
  expect((await sendRaw(port, planted)).status).toBe(403);
  expect(await violations.all()).toEqual([]);
});
