import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { EXT_AUTHZ, HTTP_MANAGER, startEnvoy } from "../support/envoy.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const POLICY = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true }
routes:
  - { path: /a/**, scopes: [a] }
  - { path: /moved/**, scopes: [a] }
  - { path: /kept/**, scopes: [a], strip_credential: false }
headers: { credential: [authorization, "cookie:lk", "query:api_key"] }
`;

let latchkey: TestedLatchkey;
let upstream: Upstream;
/** Envoys with `encode_raw_headers`, as in all examples, and without, as in some meshes. */
let envoys: Readonly<Record<"raw" | "joined", EnvoyProcess>>;
let key: string;

beforeAll(async () => {
  [latchkey, upstream] = await Promise.all([
    startLatchkey({ JWT_SECRET: newSecret() }, { policy: POLICY }),
    startUpstream(),
  ]);
  const start = (raw: boolean) =>
    startEnvoy({
      authzTarget: latchkey.grpc,
      upstreamPort: upstream.port,
      edit(bootstrap) {
        bootstrap.setIn([...EXT_AUTHZ, "encode_raw_headers"], raw);
        bootstrap.addIn([...EXT_AUTHZ, "allowed_headers", "patterns"], { exact: "cookie" });
        const rules = [...EXT_AUTHZ, "decoder_header_mutation_rules", "allow_expression", "regex"];
        bootstrap.setIn(rules, "x[-_]latchkey[-_].*|authorization|cookie");
        const route = [...HTTP_MANAGER, "route_config", "virtual_hosts", 0, "routes", 0, "route"];
        bootstrap.setIn([...route, "internal_redirect_policy"], { max_internal_redirects: 1 });
      },
    });
  const [raw, joined] = await Promise.all([start(true), start(false)]);
  envoys = { raw, joined };
  key = (await registerKey(latchkey.http)).api_key;
});

afterAll(async () => {
  await Promise.all([envoys?.raw.stop(), envoys?.joined.stop(), latchkey?.stop(), upstream?.stop()]);
});

/** Sends exactly these header lines, each character as one byte. Node's client would normalise them. */
async function send(which: "raw" | "joined", lines: readonly string[], path = "/a/x"): Promise<string> {
  const socket = connect(envoys[which].port, "127.0.0.1");
  await once(socket, "connect");
  const head = [`GET ${path} HTTP/1.1`, "host: a", "connection: close", ...lines];
  socket.write(Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"));
  const [, status = ""] = (await text(socket)).split(" ");
  return status;
}

/** The values of this header in the latest request to the upstream. */
function seen(name: string): readonly string[] {
  const lines = upstream.requests.at(-1)?.headers ?? [];
  return lines.flatMap(([header, value]) => (header.toLowerCase() === name ? [value] : []));
}

const bytes = (utf8: string) => Buffer.from(utf8).toString("latin1");

describe.each(["raw", "joined"] as const)("with %s header lines", (which) => {
  test("the upstream gets every byte of a Cookie header but the key's pair", async () => {
    const other = fc
      .oneof(
        fc.stringMatching(/^[\x20-\x7e]{1,30}$/),
        fc.constantFrom(
          "consent=C0001:1,C0002:0",
          'prefs={"a":[1,2]}',
          " seen=Wed, 21 Oct 2026 07:28:00 GMT",
          ' q="a, b"',
          "flag",
          "",
        ),
      )
      .map((part) => part.replaceAll(";", ":"))
      .filter((part) => !/^[ ]*lk[ ]*=/.test(part) && !/,[ ]*lk[ ]*=/.test(part));
    await fc.assert(
      fc.asyncProperty(fc.array(other, { maxLength: 5 }), fc.nat(5), async (others, place) => {
        const parts = [...others];
        parts.splice(Math.min(place, others.length), 0, ` lk=${key}`);
        expect(await send(which, [`cookie: ${parts.join(";")}`])).toBe("200");
        const left = others.join(";").replace(/^ +| +$/g, "");
        expect(seen("cookie")).toEqual(left === "" ? [] : [left]);
      }),
      { numRuns: 40 },
    );
  });

  test("a Cookie header without the key is not changed", async () => {
    const lines = ["a=1,2 ;;b", bytes('c="ü, é"')];
    expect(
      await send(which, [`authorization: Bearer ${key}`, ...lines.map((line) => `cookie: ${line}`)]),
    ).toBe("200");
    expect(seen("cookie")).toEqual(lines);
  });

  test("bytes beyond ASCII are not changed", async () => {
    expect(await send(which, [`cookie: ${bytes("name=Zoë Ω, 日本")}; lk=${key}`])).toBe("200");
    expect(seen("cookie")).toEqual([bytes("name=Zoë Ω, 日本")]);
  });
});

test("a key in one of several Cookie lines is removed, and the other lines remain", async () => {
  expect(await send("raw", ["cookie: a=1,2", `cookie: lk=${key}; b=3`, "cookie: c=4"])).toBe("200");
  expect(seen("cookie")).toEqual(["a=1,2; b=3; c=4"]);
});

test("a comma before the cookie's name inside another cookie makes no second key", async () => {
  expect(await send("raw", [`authorization: Bearer ${key}`, "cookie: x=1,lk=zzz"])).toBe("200");
  expect(seen("cookie")).toEqual(["x=1,lk=zzz"]);
});

test("a cookie with a key and bytes that Envoy cannot set is rejected, so neither reaches the upstream", async () => {
  const before = upstream.requests.length;
  expect(await send("raw", [`cookie: name=Zo\xeb; lk=${key}`])).toBe("400");
  expect(upstream.requests.length).toBe(before);
  expect(await send("raw", [`authorization: Bearer ${key}`, "cookie: name=Zo\xeb"])).toBe("200");
  expect(seen("cookie")).toEqual(["name=Zo\xeb"]);
});

test("Envoy reorders a query from which a key is removed, and leaves a query without a key unchanged", async () => {
  expect(await send("raw", [], `/a/x?z=1&flag&api_key=${key}&a=2`)).toBe("200");
  expect(upstream.requests.at(-1)?.url).toBe("/a/x?a=2&flag=&z=1");
  expect(await send("raw", [], `/a/x?b=2&q=a%2fb%20c+d&b=1&api_key=${key}`)).toBe("200");
  expect(upstream.requests.at(-1)?.url).toBe("/a/x?b=2&b=1&q=a%2fb%20c+d");
  expect(await send("raw", [`authorization: Bearer ${key}`], "/a/x?z=1&flag&a=2")).toBe("200");
  expect(upstream.requests.at(-1)?.url).toBe("/a/x?z=1&flag&a=2");
});

describe("an internal redirect of Envoy", () => {
  const bearer = () => [`authorization: Bearer ${key}`];

  test("a redirected request is denied, because the first Check removed its key", async () => {
    expect(await send("raw", bearer(), "/moved/to?location=http://a/a/x")).toBe("401");
  });

  test("a redirected request passes if its first route keeps the key, and the upstream still gets no key", async () => {
    expect(await send("raw", bearer(), "/kept/to?location=http://a/a/x")).toBe("200");
    expect(upstream.requests.at(-1)?.url).toBe("/a/x");
    expect(seen("authorization")).toEqual([]);
    expect(seen("x-latchkey-role")).toEqual(["basic"]);
  });
});
