import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { CLIENT_TYPES_FILE, clientTypes } from "../../scripts/client-types.ts";
import type { auditQuery, auditResponse } from "../../src/api/admin/audit-schemas.ts";
import type {
  nearLimitsQuery,
  nearLimitsResponse,
  planKeysResponse,
  topUsageQuery,
  topUsageResponse,
} from "../../src/api/admin/budget-schemas.ts";
import type { explainBody, explanation } from "../../src/api/admin/explain-schemas.ts";
import type { countQuery, listQuery } from "../../src/api/admin/key-query.ts";
import type {
  cutOffBody,
  keyCountsResponse,
  keyListResponse,
  keyResponse,
  patchBody,
} from "../../src/api/admin/key-schemas.ts";
import type { limitsResponse } from "../../src/api/admin/limit-routes.ts";
import type {
  overrideBody,
  overrideListQuery,
  overrideListResponse,
  overrideResponse,
} from "../../src/api/admin/override-schemas.ts";
import type { policyCheckBody, policyCheckResponse } from "../../src/api/admin/policy-check-schemas.ts";
import type {
  plansResponse,
  policyResponse,
  reloadResponse,
  rolesResponse,
} from "../../src/api/admin/policy-schemas.ts";
import type { settingsResponse } from "../../src/api/admin/settings-route.ts";
import type { signingKeysResponse } from "../../src/api/admin/signing-keys-route.ts";
import type { usageReportQuery, usageReportResponse } from "../../src/api/admin/usage-schemas.ts";
import type { verificationResponse } from "../../src/api/admin/verification-routes.ts";
import type { jwkSetResponse } from "../../src/api/keys/jwks-route.ts";
import type { introspection, issuedKey, registerBody, validKey } from "../../src/api/keys/schemas.ts";
import type { holderLimitsResponse, usageResponse } from "../../src/api/keys/usage-schemas.ts";
import type { importResponse, legacyIssued, migrationResponse } from "../../src/api/legacy/legacy-schemas.ts";
import { createClient } from "../../src/client/client.ts";
import type { DescribedRequest, Explanation } from "../../src/client/explain-types.ts";
import { createLiveKey } from "../../src/client/live-key.ts";
import { LatchkeyProblem, LatchkeyUnreachable } from "../../src/client/problem.ts";
import type {
  AppliedOverride,
  AuditEvents,
  AuditQuery,
  AuditVerification,
  CheckedPolicy,
  CountedKeys,
  CutOff,
  HolderLimits,
  ImportReport,
  Introspection,
  IssuedKey,
  JwkSet,
  Key,
  KeyCounts,
  KeyFilter,
  KeyList,
  KeyPatch,
  LegacyIssuedKey,
  LimitOverride,
  Limits,
  MigrationStatus,
  NearLimits,
  NearLimitsQuery,
  OverrideFilter,
  OverrideList,
  PlanKeys,
  Plans,
  PolicyCheck,
  PolicyInForce,
  Registration,
  Reload,
  Roles,
  Settings,
  SigningKeys,
  TopUsage,
  TopUsageQuery,
  Usage,
  UsageFilter,
  UsageReport,
  ValidKey,
} from "../../src/client/types.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";

/** With every call that a setting switches on. No test signs in, so the provider is never called. */
const ENV = {
  JWT_SECRET: newSecret(),
  ADMIN_TOKEN: newSecret(),
  HOLDER_PAGE: "on",
  OIDC_ISSUER: "http://127.0.0.1:9",
  OIDC_CLIENT_ID: "latchkey",
  OIDC_CONSOLE_REDIRECT_URL: "http://127.0.0.1:9/console/oidc/callback",
  OIDC_KEYS_REDIRECT_URL: "http://127.0.0.1:9/keys/oidc/callback",
};
let latchkey: TestedLatchkey;

beforeAll(async () => {
  latchkey = await startLatchkey(ENV);
});
afterAll(async () => {
  await latchkey?.stop();
});

const openApi = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ operationId: z.string() }))),
});

async function readOpenApi() {
  return openApi.parse(await (await fetch(`http://${latchkey.http}/openapi.json`)).json());
}

test("the document is valid OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate(await readOpenApi());
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
});

test("the client has exactly the calls of the document", async () => {
  const sent: string[] = [];
  const anything = new Proxy({}, { get: () => undefined });
  const stub = createClient({ url: "http://127.0.0.1:9", timeoutMs: 1 });
  const original = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    sent.push(`${init?.method ?? "GET"} ${new URL(String(input)).pathname}`);
    return Response.json(anything);
  };
  try {
    const { keys, limits, migration, policy, freeze, console: ofConsole, owner, ...calls } = stub;
    await calls.register({ name: "n", key_type: "r" });
    await calls.jwks();
    await Promise.all([calls.validate("k"), calls.refresh("k"), calls.revoke("k"), calls.introspect("k")]);
    await Promise.all([
      keys.list(),
      keys.count(),
      keys.show("ID"),
      keys.change("ID", {}),
      keys.revoke("ID"),
      keys.rotate("ID"),
    ]);
    await Promise.all([
      keys.revokeFamily("ID"),
      keys.revokeOwner("ID"),
      keys.revokeIssuedBefore({ before: "2026-01-01T00:00:00Z" }),
      limits.show("ID"),
      limits.reset("ID"),
      limits.listOverrides(),
      limits.near(),
      ...[{ owner: "ID" }, { family: "ID" }].flatMap((subject) => [
        limits.showOverride(subject),
        limits.setOverride(subject, { plan: "p" }),
        limits.clearOverride(subject),
      ]),
    ]);
    await Promise.all([
      calls.ownLimits("k"),
      calls.ownUsage("k"),
      calls.usage.report(),
      calls.usage.top(),
      calls.explain({ method: "GET", path: "/" }),
      policy.show(),
      policy.roles(),
      policy.plans(),
      policy.planKeys(),
      policy.reload(),
      policy.check({ text: "{}" }),
      calls.settings(),
      calls.signingKeys(),
      calls.audit(),
      calls.auditVerification.show(),
      calls.auditVerification.start(),
      calls.status(),
      calls.registerLegacy({ name: "n", key_type: "r" }),
      calls.migrate("k"),
      keys.import("{}"),
      migration.show(),
      migration.set("silent"),
      freeze.show(),
      freeze.start(1),
      freeze.end(),
      ofConsole.signIn({ link: "l" }),
      ofConsole.signInByOidc(),
      ofConsole.session(),
      ofConsole.renew(),
      ofConsole.signOut(),
      ofConsole.link(),
      owner.signIn(),
      owner.session(),
      owner.renew(),
      owner.signOut(),
      owner.list(),
      owner.create({ name: "n", key_type: "r" }),
      owner.rotate("ID"),
      owner.revoke("ID"),
      owner.limits("ID"),
      owner.usage("ID"),
      calls.figures(new AbortController().signal).next(),
    ]);
  } finally {
    globalThis.fetch = original;
  }
  const { paths } = await readOpenApi();
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/, "ID")}`),
  );
  expect([...new Set(sent)].sort()).toEqual(described.sort());
});

test("the client's types are up to date with the schemas", () => {
  expect(readFileSync(CLIENT_TYPES_FILE, "utf8"), "run: npm run client-types").toBe(clientTypes());
});

test("the generated types accept what the schemas accept and return", () => {
  type Frozen<T> = T extends readonly (infer U)[]
    ? readonly Frozen<U>[]
    : T extends object
      ? { readonly [K in keyof T]: Frozen<T[K]> }
      : T;
  expectTypeOf<Frozen<z.output<typeof issuedKey>>>().toEqualTypeOf<IssuedKey>();
  expectTypeOf<Frozen<z.output<typeof jwkSetResponse>>>().toEqualTypeOf<JwkSet>();
  expectTypeOf<Frozen<z.output<typeof validKey>>>().toEqualTypeOf<ValidKey>();
  expectTypeOf<Introspection>().toExtend<Frozen<z.output<typeof introspection>>>();
  expectTypeOf<keyof z.output<typeof introspection>>().toEqualTypeOf<keyof Introspection>();
  expectTypeOf<keyof z.output<typeof keyResponse>>().toEqualTypeOf<keyof Key>();
  expectTypeOf<keyof z.output<typeof keyListResponse>>().toEqualTypeOf<keyof KeyList>();
  expectTypeOf<Frozen<z.output<typeof limitsResponse>>>().toEqualTypeOf<Limits>();
  expectTypeOf<Frozen<z.output<typeof holderLimitsResponse>>>().toEqualTypeOf<HolderLimits>();
  expectTypeOf<Frozen<z.output<typeof usageResponse>>>().toEqualTypeOf<Usage>();
  expectTypeOf<Frozen<z.output<typeof usageReportResponse>>>().toEqualTypeOf<UsageReport>();
  expectTypeOf<keyof z.input<typeof usageReportQuery>>().toEqualTypeOf<keyof UsageFilter>();
  expectTypeOf<keyof z.input<typeof explainBody>>().toEqualTypeOf<keyof DescribedRequest>();
  expectTypeOf<Frozen<z.output<typeof explanation>>>().toEqualTypeOf<Explanation>();
  expectTypeOf<Frozen<z.output<typeof policyResponse>>>().toEqualTypeOf<PolicyInForce>();
  expectTypeOf<Frozen<z.output<typeof policyCheckResponse>>>().toEqualTypeOf<CheckedPolicy>();
  expectTypeOf<keyof z.input<typeof policyCheckBody>>().toEqualTypeOf<keyof PolicyCheck>();
  expectTypeOf<Frozen<z.output<typeof settingsResponse>>>().toEqualTypeOf<Settings>();
  expectTypeOf<Frozen<z.output<typeof signingKeysResponse>>>().toEqualTypeOf<SigningKeys>();
  expectTypeOf<Frozen<z.output<typeof rolesResponse>>>().toEqualTypeOf<Roles>();
  expectTypeOf<Frozen<z.output<typeof plansResponse>>>().toEqualTypeOf<Plans>();
  expectTypeOf<Frozen<z.output<typeof reloadResponse>>>().toEqualTypeOf<Reload>();
  expectTypeOf<Frozen<z.output<typeof auditResponse>>>().toEqualTypeOf<AuditEvents>();
  expectTypeOf<Frozen<z.output<typeof verificationResponse>>>().toEqualTypeOf<AuditVerification>();
  expectTypeOf<Frozen<z.output<typeof planKeysResponse>>>().toEqualTypeOf<PlanKeys>();
  expectTypeOf<Frozen<z.output<typeof nearLimitsResponse>>>().toEqualTypeOf<NearLimits>();
  expectTypeOf<keyof z.input<typeof nearLimitsQuery>>().toEqualTypeOf<keyof NearLimitsQuery>();
  expectTypeOf<Frozen<z.output<typeof topUsageResponse>>>().toEqualTypeOf<TopUsage>();
  expectTypeOf<keyof z.input<typeof topUsageQuery>>().toEqualTypeOf<keyof TopUsageQuery>();
  expectTypeOf<keyof z.input<typeof auditQuery>>().toEqualTypeOf<keyof AuditQuery>();
  expectTypeOf<Frozen<z.output<typeof migrationResponse>>>().toEqualTypeOf<MigrationStatus>();
  expectTypeOf<Frozen<z.output<typeof importResponse>>>().toEqualTypeOf<ImportReport>();
  expectTypeOf<Frozen<z.output<typeof legacyIssued>>>().toEqualTypeOf<LegacyIssuedKey>();
  expectTypeOf<keyof z.input<typeof registerBody>>().toEqualTypeOf<keyof Registration>();
  expectTypeOf<keyof z.input<typeof cutOffBody>>().toEqualTypeOf<keyof CutOff>();
  expectTypeOf<Frozen<z.output<typeof overrideResponse>>>().toEqualTypeOf<AppliedOverride>();
  expectTypeOf<keyof z.input<typeof overrideBody>>().toEqualTypeOf<keyof LimitOverride>();
  expectTypeOf<Frozen<z.output<typeof overrideListResponse>>>().toEqualTypeOf<OverrideList>();
  expectTypeOf<keyof z.input<typeof overrideListQuery>>().toEqualTypeOf<keyof OverrideFilter>();
  expectTypeOf<keyof z.input<typeof patchBody>>().toEqualTypeOf<keyof KeyPatch>();
  expectTypeOf<keyof z.input<typeof listQuery>>().toEqualTypeOf<keyof KeyFilter>();
  expectTypeOf<keyof z.input<typeof countQuery>>().toEqualTypeOf<keyof CountedKeys>();
  expectTypeOf<Frozen<z.output<typeof keyCountsResponse>>>().toEqualTypeOf<KeyCounts>();
});

describe("a key that refreshes itself", () => {
  const at = (seconds: number) => new Date(seconds * 1000).toISOString();
  const kept = { api_key: "old", refresh_after: at(100), expires_at: at(200) };
  const successor: IssuedKey = {
    api_key: "new",
    key_id: "i",
    role: "r",
    scopes: [],
    refresh_after: at(250),
    expires_at: at(300),
  };

  test("refreshes once for concurrent callers, and not before refresh_after", async () => {
    let nowMs = 99_000;
    const sentKeys: (string | undefined)[] = [];
    const refresh = async (_key: string, { idempotencyKey }: { idempotencyKey?: string } = {}) => {
      sentKeys.push(idempotencyKey);
      return successor;
    };
    const live = createLiveKey({ client: { refresh }, key: kept, nowMs: () => nowMs });
    expect(await live.current()).toBe("old");
    nowMs = 100_000;
    expect(await Promise.all([live.current(), live.current(), live.current()])).toEqual([
      "new",
      "new",
      "new",
    ]);
    expect(sentKeys).toHaveLength(1);
  });

  test("repeats a refresh after a lost response with the same Idempotency-Key, also after a restart", async () => {
    let nowMs = 100_000;
    const sentKeys: (string | undefined)[] = [];
    const stored: {
      pendingIdempotencyKey?: string;
      api_key: string;
      refresh_after: string;
      expires_at: string;
    }[] = [];
    let lost = 2;
    const refresh = async (_key: string, { idempotencyKey }: { idempotencyKey?: string } = {}) => {
      sentKeys.push(idempotencyKey);
      if (lost-- > 0) throw new LatchkeyUnreachable("lost");
      return successor;
    };
    const keep = (key: (typeof stored)[number]) => void stored.push(key);
    const live = createLiveKey({ client: { refresh }, key: kept, keep, nowMs: () => nowMs });
    expect(await live.current()).toBe("old");
    expect(await live.current()).toBe("old");
    expect(sentKeys).toHaveLength(1);
    nowMs += 31_000;
    expect(await live.current()).toBe("old");
    const restarted = createLiveKey({
      client: { refresh },
      key: stored.at(-1) ?? kept,
      keep,
      nowMs: () => nowMs,
    });
    expect(await restarted.current()).toBe("new");
    expect(new Set(sentKeys).size).toBe(1);
    expect(sentKeys[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("rejects if the key has expired and the refresh fails", async () => {
    const refresh = async () => {
      throw new LatchkeyProblem(409, { type: "/problems/family-too-old" }, new Headers());
    };
    const live = createLiveKey({ client: { refresh }, key: kept, nowMs: () => 200_000 });
    await expect(live.current()).rejects.toMatchObject({ reason: "family-too-old" });
  });
});

test("a problem response is a LatchkeyProblem with its reason, a missing server a LatchkeyUnreachable", async () => {
  const client = createClient({ url: `http://${latchkey.http}` });
  await expect(client.validate("garbage")).rejects.toMatchObject({
    name: "LatchkeyProblem",
    status: 401,
    reason: "credential-invalid",
  });
  await expect(createClient({ url: "http://127.0.0.1:1" }).validate("x")).rejects.toBeInstanceOf(
    LatchkeyUnreachable,
  );
});
