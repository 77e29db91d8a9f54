import { expect, test } from "vitest";
import { describeSettings } from "./described-settings.ts";
import { readConfig } from "./load.ts";
import { SETTINGS } from "./settings.ts";

const FILES: Readonly<Record<string, string>> = {
  "/run/audit-key": "file-secret-0123456789abcdef0123456789",
};

function described(environment: Readonly<Record<string, string>>) {
  const config = readConfig(environment, (path) => FILES[path] ?? "");
  if (!config.ok) throw new Error(config.problems.join("; "));
  return describeSettings(environment, config.settings);
}

const rowOf = (environment: Readonly<Record<string, string>>, name: string) =>
  described(environment).find((row) => row.name === name);

const SECRETS = Object.entries(SETTINGS).flatMap(([name, setting]) => ("secret" in setting ? [name] : []));

test("every setting is described once, and none of its fields has a secret or its length", () => {
  const marked = "marked-secret-0123456789-abcdefghijklmnopqrstuvw";
  const environment = {
    ...Object.fromEntries(SECRETS.map((name) => [name, `${marked}-${name}`])),
    REDIS_URL: `redis://marked-user:${marked}@127.0.0.1:6379/3`,
    REDIS_PASSWORD: "",
    REDIS_SENTINEL_PASSWORD: "",
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=${marked}`,
    AUDIT_KEY: "",
    AUDIT_KEY_FILE: "/run/audit-key",
    // A client secret without a provider is rejected.
    OIDC_ISSUER: "https://id.example.com",
    OIDC_CLIENT_ID: "latchkey",
    OIDC_CONSOLE_REDIRECT_URL: "https://latchkey.example.com/console/oidc/callback",
  };
  const rows = described(environment);
  expect(rows.map(({ name }) => name)).toEqual(Object.keys(SETTINGS));
  expect(JSON.stringify(rows)).not.toMatch(/marked|file-secret/);
  const secrets = rows.filter(({ isSecret }) => isSecret);
  expect(secrets.map(({ name }) => name)).toEqual(SECRETS);
  const fields = new Set(secrets.flatMap((row) => Object.keys(row)));
  expect([...fields].sort()).toEqual(["file", "group", "isSecret", "meaning", "name", "source"]);
});

test("the source says where a value comes from", () => {
  const environment = {
    LOG_LEVEL: "warn",
    ADMIN_TOKEN: "off",
    AUDIT_KEY_FILE: "/run/audit-key",
    DRAIN_SECONDS: "",
  };
  expect(rowOf(environment, "LOG_LEVEL")).toMatchObject({
    source: "environment",
    value: "warn",
    default: "info",
  });
  expect(rowOf(environment, "DRAIN_SECONDS")).toMatchObject({ source: "default", value: "5" });
  expect(rowOf(environment, "STORE")).toMatchObject({ source: "derived", value: "embedded" });
  expect(rowOf(environment, "OPERATOR_LISTEN")).toMatchObject({ source: "unset" });
  expect(rowOf(environment, "ADMIN_TOKEN")).toMatchObject({ source: "environment", value: "off" });
  expect(rowOf(environment, "AUDIT_KEY")).toMatchObject({ source: "file", file: "/run/audit-key" });
  expect(rowOf(environment, "KEY_HASH_SECRET")).toMatchObject({ source: "generated" });
  expect(rowOf(environment, "REDIS_PASSWORD")).toMatchObject({ source: "unset" });
});

test("no secret is generated beside a file of signing keys", () => {
  expect(rowOf({ JWT_KEYS_FILE: "keys.json" }, "JWT_SECRET")?.source).toBe("unset");
  expect(rowOf({}, "JWT_SECRET")?.source).toBe("generated");
});
