import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCa } from "../../test/support/certificates.ts";
import type { Environment } from "./load.ts";
import { readConfig } from "./load.ts";
import { redisPlace } from "./redis-place.ts";
import { secretTexts } from "./reused-secrets.ts";
import { weakness } from "./weak-secret.ts";

const strong = () => randomBytes(32).toString("base64");
const noFiles = (path: string): string => {
  throw new Error(`ENOENT: ${path}`);
};

function problemsOf(environment: Environment, files = noFiles): readonly string[] {
  const result = readConfig(environment, files);
  return result.ok ? [] : result.problems;
}

function settingsOf(environment: Environment, files = noFiles) {
  const result = readConfig(environment, files);
  if (!result.ok) throw new Error(result.problems.join("\n"));
  return result.settings;
}

test("without anything, everything has its default", () => {
  expect(settingsOf({})).toMatchObject({
    GRPC_LISTEN: { kind: "tcp", host: "127.0.0.1", port: 9191 },
    HTTP_LISTEN: { host: "127.0.0.1", port: 8000 },
    OPS_LISTEN: { host: "127.0.0.1", port: 9464 },
    STORE: "embedded",
    JWT_ISSUER: "blyan-api",
    ENVIRONMENT: "development",
    DRAIN_SECONDS: 5,
    RECORD_RETENTION: 604_800,
  });
  expect(settingsOf({}).OPERATOR_LISTEN).toBeUndefined();
});

test("an empty variable counts as not set", () => {
  expect(settingsOf({ JWT_SECRET: "", HTTP_LISTEN: "", ADMIN_TOKEN: "" })).toMatchObject({
    HTTP_LISTEN: { port: 8000 },
  });
});

test("forms: the settings of traces", () => {
  const endpoint = "https://collector.example.com:4318/otlp";
  const read = settingsOf({
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20abc==, x-tenant=1",
    OTEL_TRACES_SAMPLER_ARG: "0.05",
  });
  expect(read).toMatchObject({
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_HEADERS: { authorization: "Basic abc==", "x-tenant": "1" },
    OTEL_TRACES_SAMPLER_ARG: 0.05,
  });
  expect(secretTexts(read)).toEqual(["Basic abc==", "1"]);
  const bad = {
    OTEL_EXPORTER_OTLP_ENDPOINT: ["collector:4318", "grpc://c", "http://user:pw@c", "http://c/?key=1"],
    OTEL_EXPORTER_OTLP_HEADERS: ["bare", "a=1,,b=2", "a=%zz", "a b=1", "a=\r\nb", "a=%0d%0ab"],
    OTEL_TRACES_SAMPLER_ARG: ["2", "1.5", "-1", "half", "1e-3"],
  };
  for (const [name, texts] of Object.entries(bad))
    for (const text of texts) expect(problemsOf({ [name]: text })).toEqual([expect.stringContaining(name)]);
});

test("Redis: an address that the connection could not use is rejected", () => {
  const JWT_SECRET = strong();
  const REDIS_HOST = "r";
  expect(problemsOf({ JWT_SECRET, REDIS_URL: "redis://:100%pass@host" })).toEqual([
    "REDIS_URL has a % that is not part of an escape: percent-encode it, as %25",
  ]);
  for (const host of ["redis://r", "r:6379", "r/3", "[::1]", "a..b"])
    expect(problemsOf({ JWT_SECRET, REDIS_HOST: host })).toEqual([
      expect.stringContaining("REDIS_HOST must be"),
    ]);
  for (const host of ["r", "127.0.0.1", "::1", "redis.default.svc.cluster.local", "my_redis"])
    expect(problemsOf({ JWT_SECRET, REDIS_HOST: host })).toEqual([]);
  for (const setting of ["REDIS_PORT", "REDIS_COMMAND_TIMEOUT_MS"])
    expect(problemsOf({ JWT_SECRET, REDIS_HOST, [setting]: "0" })).toEqual([`${setting} must be at least 1`]);
  expect(problemsOf({ JWT_SECRET, REDIS_URL: "redis://r/3", REDIS_DB: "5" })).toEqual([
    "REDIS_DB is 5 and REDIS_URL names database 3: give one",
  ]);
  expect(secretTexts(settingsOf({ JWT_SECRET, REDIS_URL: "redis://:p%40ss@r" }))).toContain("p@ss");
});

describe("a Redis Cluster", () => {
  const listed = { REDIS_CLUSTER: "true", REDIS_HOST: "n1,n2:7,[::1]:8" };

  test("the settings and the URL say the same", () => {
    const JWT_SECRET = strong();
    const settings = settingsOf({ JWT_SECRET, ...listed, REDIS_PORT: "6", REDIS_NAT_MAP: "a:1=b:2" });
    expect(settings.STORE).toBe("redis");
    const seeds = [
      { host: "n1", port: 6 },
      { host: "n2", port: 7 },
      { host: "::1", port: 8 },
    ];
    expect(redisPlace(settings)).toMatchObject({ seeds });
    const url = settingsOf({
      JWT_SECRET,
      REDIS_URL: "redis+cluster://:p@n1:6,n2:7,[::1]:8",
      REDIS_TLS: "true",
    });
    expect(redisPlace(url)).toMatchObject({ seeds, password: "p", tls: true });
    const one = settingsOf({ JWT_SECRET, REDIS_CLUSTER: "true", REDIS_HOST: "::1" });
    expect(redisPlace(one)).toMatchObject({ seeds: [{ host: "::1", port: 6379 }] });
  });

  test.each([
    ["a list without REDIS_CLUSTER", { REDIS_HOST: "n1,n2" }, "REDIS_HOST must be a host name"],
    ["a list that mixes modes", { ...listed, REDIS_HOST: "n1,redis+sentinel://s1" }, "REDIS_HOST must be"],
    ["no node", { STORE: "redis", REDIS_CLUSTER: "true" }, "REDIS_HOST is missing"],
    [
      "a URL beside it",
      { REDIS_CLUSTER: "true", REDIS_URL: "redis://r" },
      "REDIS_CLUSTER is set beside REDIS_URL",
    ],
    ["another database", { ...listed, REDIS_DB: "1" }, "a Cluster has only database 0"],
    ["the same beside a URL", { REDIS_URL: "redis+cluster://n1", REDIS_DB: "1" }, "only database 0"],
    [
      "Sentinels beside it",
      { REDIS_URL: "redis+cluster://n1", REDIS_SENTINELS: "s1", REDIS_SENTINEL_MASTER: "m" },
      "a Cluster has no Sentinels",
    ],
  ])("%s is rejected", (_what, env, problem) => {
    const problems = problemsOf({ JWT_SECRET: strong(), ...env });
    expect(problems).toEqual(expect.arrayContaining([expect.stringContaining(problem)]));
  });
});

describe("Redis Sentinel", () => {
  const listed = { REDIS_SENTINELS: "s1,s2:1,[::1]:2", REDIS_SENTINEL_MASTER: "m" };
  const url = { REDIS_URL: "redis+sentinel://u:p@s1/m/3" };
  const problemsWith = (env: Environment) => problemsOf({ JWT_SECRET: strong(), ...env });

  test("the settings and the URL say the same", () => {
    const group = { REDIS_SENTINEL_USERNAME: "v", REDIS_SENTINEL_PASSWORD: "q", REDIS_SENTINEL_TLS: "true" };
    const settings = settingsOf({
      JWT_SECRET: strong(),
      ...listed,
      ...group,
      REDIS_PASSWORD: "p",
      REDIS_TLS: "true",
    });
    expect(settings.STORE).toBe("redis");
    expect(redisPlace(settings)).toMatchObject({
      sentinels: {
        addresses: [
          { host: "s1", port: 26_379 },
          { host: "s2", port: 1 },
          { host: "::1", port: 2 },
        ],
        ...{ master: "m", username: "v", password: "q", tls: true },
      },
      ...{ password: "p", tls: true, db: 0 },
    });
    expect(secretTexts(settings)).toEqual(expect.arrayContaining(["p", "q"]));
    expect(redisPlace(settingsOf({ JWT_SECRET: strong(), ...url, REDIS_TLS: "true" }))).toMatchObject({
      sentinels: { addresses: [{ host: "s1", port: 26_379 }], master: "m", tls: false },
      ...{ username: "u", password: "p", db: 3, tls: true },
    });
    const map = settingsOf({
      JWT_SECRET: strong(),
      ...url,
      REDIS_NAT_MAP: "[::1]:1=r.example:2, 10.0.0.1:3=[::2]:4",
    });
    expect([...(redisPlace(map).natMap ?? [])]).toEqual([
      ["[::1]:1", { host: "r.example", port: 2 }],
      ["10.0.0.1:3", { host: "::2", port: 4 }],
    ]);
  });

  test.each([
    [
      "Sentinels beside a host",
      { ...listed, REDIS_HOST: "r" },
      "REDIS_HOST and REDIS_SENTINELS are both set",
    ],
    [
      "Sentinels beside a URL",
      { ...listed, REDIS_URL: "redis://r" },
      "REDIS_URL and REDIS_SENTINELS are both",
    ],
    ["the master twice", { ...url, REDIS_SENTINEL_MASTER: "m" }, "REDIS_URL names the master: give one"],
    [
      "Sentinels without a master",
      { ...listed, REDIS_SENTINEL_MASTER: undefined },
      "REDIS_SENTINEL_MASTER is missing",
    ],
    ["a master without Sentinels", { REDIS_HOST: "r", REDIS_SENTINEL_MASTER: "m" }, "no Sentinel is named"],
    [
      "a password without Sentinels",
      { REDIS_HOST: "r", REDIS_SENTINEL_PASSWORD: "p" },
      "no Sentinel is named",
    ],
    ["TLS without Sentinels", { REDIS_HOST: "r", REDIS_SENTINEL_TLS: "true" }, "no Sentinel is named"],
    [
      "a NAT map for one server",
      { REDIS_HOST: "r", REDIS_NAT_MAP: "a:1=b:2" },
      "neither Sentinel nor Cluster",
    ],
    [
      "a user without a password",
      { ...listed, REDIS_SENTINEL_USERNAME: "v" },
      "REDIS_SENTINEL_PASSWORD is missing",
    ],
    ["a port beside Sentinels", { ...listed, REDIS_PORT: "1" }, "REDIS_PORT is set beside Sentinels"],
    ["TLS in one place only", { REDIS_URL: "redis://r", REDIS_TLS: "true" }, "REDIS_URL says redis://"],
    [
      "a repeated Sentinel",
      { ...listed, REDIS_SENTINELS: "s1,s2,s1:26379" },
      "REDIS_SENTINELS must be HOST[:PORT]",
    ],
    ["a malformed list", { ...listed, REDIS_SENTINELS: "s1,,s2" }, "REDIS_SENTINELS must be HOST[:PORT]"],
    ["a mixed list", { ...listed, REDIS_SENTINELS: "s1,redis://s2" }, "REDIS_SENTINELS must be HOST[:PORT]"],
    [
      "a NAT map of one side",
      { ...listed, REDIS_NAT_MAP: "a:1" },
      "REDIS_NAT_MAP must be INSIDE:PORT=OUTSIDE:PORT",
    ],
    [
      "a NAT map with an address twice",
      { ...listed, REDIS_NAT_MAP: "a:1=b:2,a:1=c:3" },
      "each INSIDE:PORT once",
    ],
  ] as const)("does not start with %s", (_what, env, problem) => {
    expect(problemsWith(env)).toEqual([expect.stringContaining(problem)]);
  });

  test("the files of TLS are checked at the start, and are not ignored", async () => {
    const [ca, other] = [await createCa(), await createCa()];
    const tls = { REDIS_HOST: "r", REDIS_TLS: "true", REDIS_CA: ca.certFile };
    const pair = { REDIS_CERT: ca.certFile, REDIS_KEY: ca.keyFile };
    expect(problemsWith({ ...tls, ...pair })).toEqual([]);
    expect(problemsWith({ ...listed, REDIS_SENTINEL_TLS: "true", REDIS_CA: ca.certFile })).toEqual([]);
    const rejected = [
      [{ ...tls, REDIS_TLS: "false" }, "REDIS_CA without TLS"],
      [{ ...tls, REDIS_CA: ca.keyFile }, `REDIS_CA: ${ca.keyFile} is no certificate in PEM`],
      [{ ...tls, REDIS_CA: "/nowhere" }, "REDIS_CA: /nowhere is no certificate in PEM"],
      [{ ...tls, REDIS_CERT: ca.certFile }, "REDIS_CERT alone: give REDIS_CERT and REDIS_KEY"],
      [{ ...tls, REDIS_KEY: ca.keyFile }, "REDIS_KEY alone: give REDIS_CERT and REDIS_KEY"],
      [{ ...tls, ...pair, REDIS_KEY: other.keyFile }, `REDIS_KEY: ${other.keyFile} is not the key of`],
    ] as const;
    for (const [env, problem] of rejected)
      expect(problemsWith(env)).toEqual([expect.stringContaining(problem)]);
  });
});

test("forms: addresses, sockets, durations and lists", () => {
  const [first, second] = [strong(), strong()];
  expect(
    settingsOf({
      GRPC_LISTEN: "unix:/run/l.sock",
      HTTP_LISTEN: "[::1]:80",
      TTL_BASIC: "30d",
      TTL_CONTRIBUTOR: "60",
      ADMIN_TOKEN: `${first}, ${second}`,
    }),
  ).toMatchObject({
    GRPC_LISTEN: { kind: "unix", path: "/run/l.sock" },
    HTTP_LISTEN: { host: "::1", port: 80 },
    TTL_BASIC: 2_592_000,
    TTL_CONTRIBUTOR: 60,
    ADMIN_TOKEN: [first, second],
  });
  expect(settingsOf({ ADMIN_TOKEN: "off" }).ADMIN_TOKEN).toBe("off");
  expect(settingsOf({ REDIS_HOST: "r", JWT_SECRET: strong() }).STORE).toBe("redis");
});

test("every problem is reported at once, without any secret", () => {
  const secret = "short-secret-of-mine";
  const problems = problemsOf({
    GRPC_LISTEN: "nowhere",
    DRAIN_SECONDS: "-1",
    JWT_SECRET: secret,
    LOG_LEVEL: "loud",
    TTL_BASIC: "soon",
    REDIS_URL: "http://x",
  });
  expect(problems.map((problem) => problem.split(" ")[0]).sort()).toEqual([
    "DRAIN_SECONDS",
    "GRPC_LISTEN",
    "JWT_SECRET",
    "LOG_LEVEL",
    "REDIS_URL",
    "TTL_BASIC",
  ]);
  expect(problems.join("\n")).not.toContain(secret);
});

describe("a secret from a file", () => {
  test("is read; a list has one item per line", () => {
    const [first, second] = [strong(), strong()];
    const files = (path: string) => (path === "/s" ? `${first}\n` : `${first}\n${second}\n`);
    expect(settingsOf({ JWT_SECRET_FILE: "/s", ADMIN_TOKEN_FILE: "/t" }, files)).toMatchObject({
      JWT_SECRET: first,
      ADMIN_TOKEN: [first, second],
    });
  });

  test("beside the variable is rejected; a missing file is reported; other settings have no file", () => {
    expect(problemsOf({ JWT_SECRET: strong(), JWT_SECRET_FILE: "/s" })).toEqual([
      "JWT_SECRET and JWT_SECRET_FILE are both set: give one",
    ]);
    expect(problemsOf({ JWT_SECRET_FILE: "/s" })[0]).toMatch(/^JWT_SECRET_FILE cannot be read: ENOENT/);
    expect(settingsOf({ HTTP_LISTEN_FILE: "/s" })).toMatchObject({ HTTP_LISTEN: { port: 8000 } });
  });
});

describe("a secret is the same from a variable and from a file:", () => {
  const [first, second] = [strong(), strong()];
  test.each([
    `${first}\n`,
    `${first}\r\n`,
    `  ${first}\t\n\n`,
    `\ufeff${first}`,
    `${first},${second}\n`,
    `${first}\n${second}\n`,
    `${first}, ${second}`,
  ])("%j", (text) => {
    for (const name of ["JWT_SECRET", "KEY_HASH_SECRET_PREVIOUS", "ADMIN_TOKEN", "REDIS_PASSWORD"]) {
      const direct = Object.entries(settingsOf({ [name]: text }));
      expect(direct).toEqual(Object.entries(settingsOf({ [`${name}_FILE`]: "/s" }, () => text)));
      expect(JSON.stringify(direct)).toContain(first);
    }
  });

  test("white space around a variable's secret is reported, because other programs may include it", () => {
    const read = (environment: Environment) => {
      const result = readConfig(environment, () => `${first}\n`);
      return result.ok ? result.unclean : result.problems;
    };
    expect(read({ JWT_SECRET: `${first}\n`, AUDIT_KEY: second })).toEqual(["JWT_SECRET"]);
    expect(read({ JWT_SECRET_FILE: "/s", AUDIT_KEY: second })).toEqual([]);
  });

  test("a secret of white space alone is an error, and no secret is generated in its place", () => {
    for (const text of ["", "\n", " \r\n"])
      expect(problemsOf({ JWT_SECRET_FILE: "/s" }, () => text)).toEqual(["JWT_SECRET_FILE is empty: /s"]);
    expect(problemsOf({ JWT_SECRET: "\n" })).toEqual(["JWT_SECRET is blank"]);
  });
});

test("the hint for headers says how to write a space", () => {
  expect(problemsOf({ OTEL_EXPORTER_OTLP_HEADERS: "Authorization=Basic abc" })[0]).toContain("%20");
});

describe("production", () => {
  const good = () => ({
    ENVIRONMENT: "production",
    JWT_SECRET: strong(),
    KEY_HASH_SECRET: strong(),
    AUDIT_KEY: strong(),
    ADMIN_TOKEN: strong(),
  });

  test("starts with strong secrets, with the operator listener on its own port", () => {
    expect(settingsOf(good()).OPERATOR_LISTEN).toEqual({ kind: "tcp", host: "127.0.0.1", port: 8001 });
    expect(settingsOf({ ...good(), ADMIN_TOKEN: "off" }).ADMIN_TOKEN).toBe("off");
  });

  test.each([
    ["no JWT_SECRET", { JWT_SECRET: undefined }, "JWT_SECRET is missing"],
    ["no ADMIN_TOKEN", { ADMIN_TOKEN: undefined }, "ADMIN_TOKEN is missing"],
    ["a short secret", { JWT_SECRET: "x7Jq" }, "JWT_SECRET must have at least 32 bytes"],
    ["a blank secret", { JWT_SECRET: " ".repeat(40) }, "JWT_SECRET is blank"],
    [
      "a well-known word",
      { JWT_SECRET: "your-super-secret-jwt-key-change-me" },
      "JWT_SECRET is made of well-known words",
    ],
    ["a word again and again", { JWT_SECRET: "changeme".repeat(5) }, "JWT_SECRET repeats itself"],
    ["one letter", { JWT_SECRET: "a".repeat(64) }, "JWT_SECRET repeats itself"],
    ["a sequence", { JWT_SECRET: "0123456789012345678901234567890123456789" }, "JWT_SECRET"],
    ["the alphabet", { JWT_SECRET: "abcdefghijklmnopqrstuvwxyzabcdefgh" }, "JWT_SECRET is a sequence"],
    [
      "the alphabet backwards",
      { JWT_SECRET: "zyxwvutsrqponmlkjihgfedcbazyxwvutsrq" },
      "JWT_SECRET is a sequence",
    ],
    [
      "one weak among several",
      { ADMIN_TOKEN: `${strong()},${"ab".repeat(20)}` },
      "ADMIN_TOKEN repeats itself",
    ],
    ["a weak old secret", { JWT_SECRET_PREVIOUS: "secret".repeat(8) }, "JWT_SECRET_PREVIOUS repeats itself"],
    ["gRPC beyond loopback", { GRPC_LISTEN: "0.0.0.0:9191" }, "GRPC_LISTEN would listen in clear text"],
    ["HTTP beyond loopback", { HTTP_LISTEN: "10.0.0.1:8000" }, "HTTP_LISTEN would listen in clear text"],
    [
      "operators beyond loopback",
      { OPERATOR_LISTEN: "[::]:8001" },
      "OPERATOR_LISTEN would listen in clear text",
    ],
    [
      "forward-auth beyond loopback",
      { AUTH_LISTEN: "0.0.0.0:9192" },
      "AUTH_LISTEN would listen in clear text beyond loopback: keep it on 127.0.0.1, give AUTH_TLS_CERT and AUTH_TLS_KEY, or name auth in ALLOW_CLEARTEXT",
    ],
    ["Redis without a password", { REDIS_URL: "redis://r:6379" }, "Redis has no password"],
    [
      "Redis named twice",
      { REDIS_URL: "redis://:p@r", REDIS_HOST: "r" },
      "REDIS_URL and REDIS_HOST are both set",
    ],
    [
      "redis without a Redis",
      { STORE: "redis", REDIS_PASSWORD: "p" },
      "STORE is redis: set REDIS_URL, REDIS_HOST or REDIS_SENTINELS",
    ],
  ] as const)("does not start with %s", (_what, change, problem) => {
    const problems = problemsOf({ ...good(), ...change });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  const names = ["JWT_SECRET", "KEY_HASH_SECRET", "AUDIT_KEY", "ADMIN_TOKEN"] as const;
  const lists = ["JWT_SECRET_PREVIOUS", "KEY_HASH_SECRET_PREVIOUS", "ADMIN_TOKEN"] as const;
  const redis = { REDIS_HOST: "r", REDIS_PASSWORD: "p" };
  const value = strong();
  const encoded = encodeURIComponent(value);
  const pairs: readonly (readonly [one: string, other: string, environment: Environment])[] = [
    ...names.flatMap((one, at) =>
      names.slice(at + 1).map((other) => [one, other, { [one]: value, [other]: value }] as const),
    ),
    ...lists.flatMap((list) =>
      names
        .filter((one) => one !== list)
        .map((one) => [one, list, { [one]: value, [list]: `${strong()}, ${value}` }] as const),
    ),
    ["JWT_SECRET", "REDIS_PASSWORD", { ...redis, JWT_SECRET: value, REDIS_PASSWORD: value }],
    ["AUDIT_KEY", "REDIS_URL", { AUDIT_KEY: value, REDIS_URL: `redis://:${encoded}@r` }],
    [
      "ADMIN_TOKEN",
      "OTEL_EXPORTER_OTLP_HEADERS",
      { ADMIN_TOKEN: value, OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${encoded}` },
    ],
    ["JWT_SECRET", "AUDIT_KEY", { JWT_SECRET: value, AUDIT_KEY: ` ${value} ` }],
  ];
  test.each(pairs)(
    "does not start with the same value as %s and %s, and names both",
    (one, other, change) => {
      const [problem = "", ...more] = problemsOf({ ...good(), ...change });
      expect(more).toEqual([]);
      expect(problem).toMatch(/have the same value: give each its own$/);
      expect(problem.split(/ and | have /)).toEqual(expect.arrayContaining([one, other]));
      expect(problem).not.toContain(value);
    },
  );

  test("does not start with one value twice in a list", () => {
    for (const list of lists)
      expect(problemsOf({ ...good(), [list]: `${value},${strong()},${value}` })).toEqual([
        `${list} has one value twice: leave one out`,
      ]);
  });

  test("compares secrets from variables and files; the same Redis password given twice is one secret", () => {
    const change = { AUDIT_KEY: undefined, AUDIT_KEY_FILE: "/f", JWT_SECRET: value };
    expect(problemsOf({ ...good(), ...change }, () => `\ufeff${value}\r\n`)).toEqual([
      "JWT_SECRET and AUDIT_KEY have the same value: give each its own",
    ]);
    const sentinels = { REDIS_SENTINELS: "s", REDIS_SENTINEL_MASTER: "m" };
    const same = { ...sentinels, REDIS_PASSWORD: value, REDIS_SENTINEL_PASSWORD: value };
    expect(problemsOf({ ...good(), ...same })).toEqual([]);
    expect(problemsOf({ ...good(), ...same, AUDIT_KEY: value })).toEqual([
      expect.stringContaining("REDIS_PASSWORD, REDIS_SENTINEL_PASSWORD and AUDIT_KEY have the same value"),
    ]);
    const twice = { REDIS_URL: `redis://:${encoded}@r`, REDIS_PASSWORD: value };
    expect(problemsOf({ ...good(), ...twice })).toEqual([]);
    expect(problemsOf({ JWT_SECRET: value, AUDIT_KEY: value })).toEqual([]);
  });

  test("may listen anywhere where a mesh encrypts", () => {
    const anywhere = { GRPC_LISTEN: "0.0.0.0:1", HTTP_LISTEN: "0.0.0.0:2", OPERATOR_LISTEN: "0.0.0.0:3" };
    expect(problemsOf({ ...good(), ...anywhere, ALLOW_CLEARTEXT: "grpc, http" })).toHaveLength(1);
    expect(problemsOf({ ...good(), ...anywhere, ALLOW_CLEARTEXT: "grpc,http,operator" })).toEqual([]);
    expect(problemsOf({ ...good(), GRPC_LISTEN: "unix:/run/x" })).toEqual([]);
  });
});

test("a file of keys takes the place of JWT_SECRET, in production and in a fleet", () => {
  const secrets = { KEY_HASH_SECRET: strong(), AUDIT_KEY: strong(), ADMIN_TOKEN: strong() };
  const JWT_KEYS_FILE = "/keys";
  expect(problemsOf({ ...secrets, ENVIRONMENT: "production", JWT_KEYS_FILE })).toEqual([]);
  expect(problemsOf({ REDIS_HOST: "r", JWT_KEYS_FILE })).toEqual([]);
});

test("a fleet in development must share its signing secret", () => {
  expect(problemsOf({ REDIS_HOST: "r" })).toEqual([
    "JWT_SECRET or JWT_KEYS_FILE is missing: instances that share a Redis must share it",
  ]);
});

test("a generated secret is never called weak", () => {
  const encodings = ["base64", "base64url", "hex"] as const;
  fc.assert(
    fc.property(fc.constantFrom(...encodings), fc.integer({ min: 32, max: 64 }), (encoding, bytes) => {
      expect(weakness(randomBytes(bytes).toString(encoding))).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(
      fc
        .array(fc.nat({ max: 9 }), { minLength: 40, maxLength: 60 })
        .filter((digits) => new Set(digits).size > 6),
      (digits) => {
        const text = digits.join("");
        expect([undefined, "is a sequence", "repeats itself"]).toContain(weakness(text));
      },
    ),
  );
});

test("WORKERS: the number of processes, which need a Redis and a listener each", () => {
  const redis = { REDIS_HOST: "r", JWT_SECRET: strong() };
  expect(settingsOf({ ...redis, WORKERS: "4" }).WORKERS).toBe(4);
  expect(settingsOf({ WORKERS: "1" }).STORE).toBe("embedded");
  expect(problemsOf({ WORKERS: "2" })).toEqual([
    "WORKERS is 2: the embedded store serves one process; name a Redis, or leave WORKERS out",
  ]);
  expect(problemsOf({ ...redis, WORKERS: "3", GRPC_LISTEN: "127.0.0.1:65534" })).toEqual([
    "GRPC_LISTEN leaves no ports for 3 workers: they use 3 ports from it on",
  ]);
  for (const WORKERS of ["0", "65", "two", "-1", "1.5"])
    expect(problemsOf({ ...redis, WORKERS })[0]).toMatch(/^WORKERS /);
});

test("sign-in: half a configuration, and a URL over which credentials would travel in clear text, are rejected", () => {
  const whole = {
    OIDC_ISSUER: "https://id.example.com/realms/a",
    OIDC_CLIENT_ID: "latchkey",
    OIDC_CONSOLE_REDIRECT_URL: "https://ops.example.com/console/oidc/callback",
  };
  const problemsOf = (changes: Readonly<Record<string, string>>) => {
    const read = readConfig({ ...whole, ...changes }, () => "");
    return read.ok ? [] : read.problems;
  };
  expect(problemsOf({})).toEqual([]);
  expect(problemsOf({ OIDC_ISSUER: "http://127.0.0.1:8080" })).toEqual([]);
  for (const issuer of [
    "http://id.example.com",
    "https://u:p@id.example.com",
    "https://id.example.com?a",
    "id",
  ])
    expect(problemsOf({ OIDC_ISSUER: issuer })).toEqual([
      expect.stringContaining("OIDC_ISSUER must be an https"),
    ]);
  for (const url of ["http://ops.example.com/console/oidc/callback", "https://ops.example.com/console", "x"])
    expect(problemsOf({ OIDC_CONSOLE_REDIRECT_URL: url })).toEqual([
      expect.stringContaining("OIDC_CONSOLE_REDIRECT_URL must be an https URL with the path"),
    ]);
  expect(problemsOf({ OIDC_SCOPE: "profile" })).toEqual([expect.stringContaining("with openid")]);
  const both = "sign-in by OpenID Connect needs both OIDC_ISSUER and OIDC_CLIENT_ID";
  expect(problemsOf({ OIDC_CLIENT_ID: "" })).toEqual([both]);
  expect(problemsOf({ OIDC_ISSUER: "" })).toEqual([both]);
  expect(problemsOf({ OIDC_CONSOLE_REDIRECT_URL: "" })).toEqual([
    "OIDC_ISSUER has no effect: set OIDC_CONSOLE_REDIRECT_URL or OIDC_KEYS_REDIRECT_URL",
  ]);
  const keys = { OIDC_KEYS_REDIRECT_URL: "https://keys.example.com/keys/oidc/callback" };
  expect(problemsOf(keys)).toEqual(["OIDC_KEYS_REDIRECT_URL has no effect: set HOLDER_PAGE to on"]);
  expect(problemsOf({ ...keys, HOLDER_PAGE: "on" })).toEqual([]);
});
