import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer, request as httpRequest } from "node:http";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { chromium } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chromiumBinary } from "../../scripts/chromium.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 100000/s, failures: 100000/s }
`;
const TAG =
  '<script src="/api-auth-migration.js" data-auto data-storage-key="api_key" data-header="X-API-Key"></script>';

/**
 * A page as written in 2022: it registers an opaque key once, stores it, and sends it by XMLHttpRequest and
 * fetch.
 */
const PAGE = `
<script>
  function withKey(done) {
    var kept = localStorage.getItem("api_key");
    if (kept) return done(kept);
    var call = new XMLHttpRequest();
    call.open("POST", "/api/auth/register_api_key");
    call.setRequestHeader("Content-Type", "application/json");
    call.onload = function () {
      var key = JSON.parse(call.responseText).api_key;
      localStorage.setItem("api_key", key);
      done(key);
    };
    call.send(JSON.stringify({ name: "my app", key_type: "basic" }));
  }
  function load(path) {
    return new Promise(function (resolve) {
      withKey(function (key) {
        var call = new XMLHttpRequest();
        call.open("GET", path, true);
        call.setRequestHeader("Accept", "application/json");
        call.setRequestHeader("X-API-Key", key);
        call.onreadystatechange = function () {
          if (call.readyState === 4) resolve(call.status);
        };
        call.send();
      });
    });
  }
  async function save(path, text) {
    const key = localStorage.getItem("api_key");
    const answer = await fetch(path, { method: "POST", headers: { "X-API-Key": key }, body: text });
    return answer.status;
  }
</script>`;

let latchkey: TestedLatchkey;
let upstream: Upstream;
let envoy: EnvoyProcess;
let site: Server;
let origin: string;
/** The status of every call to the V2 key API; undefined for Latchkey's own. */
let v2Answers: number | undefined;
let browser: Browser;
let context: BrowserContext;

beforeAll(async () => {
  [latchkey, upstream] = await Promise.all([
    startLatchkey({ JWT_SECRET: newSecret(), ADMIN_TOKEN }, { policy: POLICY }),
    startUpstream(),
  ]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  site = createServer(serve);
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  const address = site.address();
  origin = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];
  browser = await chromium.launch({ executablePath: await chromiumBinary(), args });
});
afterAll(async () => {
  await browser?.close();
  site?.closeAllConnections();
  site?.close();
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});
beforeEach(async () => {
  v2Answers = undefined;
  context = await browser.newContext();
  context.setDefaultTimeout(60_000);
});
afterEach(() => context.close());

/** The page, with the script tag or without it; /api is Latchkey's and /a is Envoy's. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url = "/" } = request;
  if (url === "/with" || url === "/without") {
    const page = `<!doctype html><title>t</title>${url === "/with" ? TAG : ""}${PAGE}`;
    response.setHeader("content-type", "text/html").end(page);
    return;
  }
  if (v2Answers !== undefined && url.startsWith("/api/auth/v2/")) {
    response.writeHead(v2Answers).end();
    return;
  }
  const target = url.startsWith("/a/") ? `127.0.0.1:${envoy.port}` : latchkey.http;
  const onward = httpRequest(`http://${target}${url}`, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

interface OpenPage {
  readonly page: Page;
  /** For each call of the API, whether it carried a V1 or a V2 key, and its status. */
  both(): Promise<readonly string[]>;
}

async function open(path: "/with" | "/without"): Promise<OpenPage> {
  const page = await context.newPage();
  await page.goto(`${origin}${path}`);
  const keys: string[] = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    const key = request.headers()["x-api-key"] ?? "none";
    if (pathname.startsWith("/a/"))
      keys.push(key.startsWith("eyJ") ? "V2" : key.startsWith("lk1_") ? "V1" : key);
  });
  return {
    page,
    async both() {
      const before = keys.length;
      const statuses = await page.evaluate<number[]>(
        `(async () => [await load("/a/x"), await save("/a/y", "text")])()`,
      );
      return statuses.map((status, at) => `${keys[before + at]} ${status}`);
    },
  };
}

const storedKey = (page: Page) => page.evaluate<string>(`localStorage.getItem("api_key")`);
const slot = (page: Page) => page.evaluate<string | null>(`localStorage.getItem("api-auth api_key")`);
const admin = () => createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
const lastFamily = () => new Map(upstream.requests.at(-1)?.headers).get("x-latchkey-family");

test("a page of 2022 works unchanged with V1 keys, and with the tag it sends V2 keys of the same family", async () => {
  const before = await open("/without");
  expect(await before.both()).toEqual(["V1 200", "V1 200"]);
  const family = lastFamily();
  const key = await storedKey(before.page);
  const after = await open("/with");
  expect(await after.both()).toEqual(["V2 200", "V2 200"]);
  expect(await after.both()).toEqual(["V2 200", "V2 200"]);
  expect(lastFamily()).toBe(family);
  expect(upstream.requests.at(-1)).toMatchObject({ method: "POST", url: "/a/y" });
  expect(await storedKey(after.page)).toBe(key);
});

test("a page without a key registers its own as before, and sends V2 keys", async () => {
  expect(await (await open("/with")).both()).toEqual(["V2 200", "V2 200"]);
});

test("removing the tag goes back to V1 completely, and restoring it continues with the same V2 key", async () => {
  const tagged = await open("/with");
  await tagged.both();
  const kept = await slot(tagged.page);
  expect(await (await open("/without")).both()).toEqual(["V1 200", "V1 200"]);
  const again = await open("/with");
  expect(await again.both()).toEqual(["V2 200", "V2 200"]);
  expect(await slot(again.page)).toBe(kept);
});

test("v2Available = false goes back to V1 at once", async () => {
  const tagged = await open("/with");
  await tagged.both();
  await tagged.page.evaluate("ApiAuthMigration.auto.v2Available = false");
  expect(await tagged.both()).toEqual(["V1 200", "V1 200"]);
  await tagged.page.evaluate("ApiAuthMigration.auto.v2Available = undefined");
  expect(await tagged.both()).toEqual(["V2 200", "V2 200"]);
});

test.each([404, 500])("if the V2 key API responds with %i, the page continues with V1", async (status) => {
  v2Answers = status;
  expect(await (await open("/with")).both()).toEqual(["V1 200", "V1 200"]);
});

describe("a denied key", () => {
  test("a denied key stays denied, and no other key is registered in its place", async () => {
    const { page, both } = await open("/with");
    await page.evaluate(`localStorage.setItem("api_key", "lk1_no_key_at_all_0000000000000000")`);
    const calls: string[] = [];
    page.on("request", (request) => calls.push(new URL(request.url()).pathname));
    expect(await both()).toEqual(["V1 401", "V1 401"]);
    expect(calls.filter((path) => path.endsWith("/register") || path.endsWith("/register_api_key"))).toEqual(
      [],
    );
  });

  test("a denied V2 key is replaced within the same fetch", async () => {
    const { page, both } = await open("/with");
    await both();
    const v2Id = async () => JSON.parse((await slot(page)) ?? "{}").v2.key_id;
    const first: string = await v2Id();
    await admin().keys.revoke(first);
    expect(await page.evaluate<number>(`save("/a/y", "once more")`)).toBe(200);
    expect(await v2Id()).not.toBe(first);
  });
});

test("users who alternate on one page never get each other's key, and a logout leaves none behind", async () => {
  const one = await admin().registerLegacy({ name: "one", key_type: "basic" });
  const other = await admin().registerLegacy({ name: "other", key_type: "basic" });
  const { page, both } = await open("/with");
  const families: (string | undefined)[] = [];
  for (const { api_key } of [one, other, one]) {
    await page.evaluate(`localStorage.setItem("api_key", ${JSON.stringify(api_key)})`);
    expect(await both()).toEqual(["V2 200", "V2 200"]);
    families.push(lastFamily());
  }
  const familyOf = async (id: string) => (await admin().keys.show(id)).family;
  const [first, second] = [await familyOf(one.key_id), await familyOf(other.key_id)];
  expect(families).toEqual([first, second, first]);
  await page.evaluate(`localStorage.removeItem("api_key")`);
  await page.reload();
  expect(await slot(page)).toBeNull();
});

test("calls to other origins, and calls with other headers or keys, are sent unchanged", async () => {
  const { page, both } = await open("/with");
  await both();
  const elsewhere = origin.replace("127.0.0.1", "localhost");
  const key = await storedKey(page);
  await context.route(`${elsewhere}/**`, (route) =>
    route.fulfill({
      headers: { "access-control-allow-origin": "*", "access-control-allow-headers": "*" },
      body: "x",
    }),
  );
  const sentTo = async (url: string, headers: Readonly<Record<string, string>>) => {
    const [request] = await Promise.all([
      page.waitForRequest((sent) => sent.method() !== "OPTIONS" && sent.url().startsWith(url)),
      page.evaluate(`fetch(${JSON.stringify(url)}, { headers: ${JSON.stringify(headers)} }).catch(() => {})`),
    ]);
    return request.headers();
  };
  expect(await sentTo(`${elsewhere}/a/x`, { "X-API-Key": key })).toMatchObject({ "x-api-key": key });
  expect(await sentTo(`${origin}/a/x`, { "X-Other": key })).toMatchObject({ "x-other": key });
  expect(await sentTo(`${origin}/a/x`, { "X-API-Key": "another" })).toMatchObject({ "x-api-key": "another" });
  expect(await sentTo(`${origin}/api/auth/v2/validate`, { "X-API-Key": key })).toMatchObject({
    "x-api-key": key,
  });
});

test("an XMLHttpRequest behaves as before: aborted, sent twice, synchronous, reopened", async () => {
  const { page, both } = await open("/with");
  await both();
  const seen = await page.evaluate<Record<string, unknown>>(`(async () => {
    const key = localStorage.getItem("api_key");
    const opened = (isAsync = true, path = "/a/x") => {
      const call = new XMLHttpRequest();
      call.open("GET", path, isAsync);
      call.setRequestHeader("X-API-Key", key);
      return call;
    };
    const aborted = opened();
    const events = [];
    for (const type of ["abort", "load", "loadend"]) aborted.addEventListener(type, () => events.push(type));
    aborted.send();
    aborted.abort();
    const twice = opened();
    twice.send();
    let error = "none";
    try { twice.send(); } catch ({ name }) { error = name; }
    await new Promise((resolve) => twice.addEventListener("loadend", resolve));
    const inSync = opened(false);
    inSync.send();
    const reopened = opened(true, "/a/first");
    reopened.send();
    reopened.open("GET", "/a/second");
    reopened.setRequestHeader("X-API-Key", key);
    reopened.send();
    await new Promise((resolve) => reopened.addEventListener("loadend", resolve));
    return { events, error, twice: twice.status, inSync: inSync.status, reopened: JSON.parse(reopened.responseText).url };
  })()`);
  expect(seen).toEqual({
    events: ["abort", "loadend"],
    error: "InvalidStateError",
    twice: 200,
    inSync: 200,
    reopened: "/a/second",
  });
});
