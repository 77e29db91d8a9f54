import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { auditQuery, auditResponse } from "../src/api/admin/audit-schemas.ts";
import {
  nearLimitsQuery,
  nearLimitsResponse,
  planKeysResponse,
  topUsageQuery,
  topUsageResponse,
} from "../src/api/admin/budget-schemas.ts";
import { figures } from "../src/api/admin/figures-schemas.ts";
import { freezeResponse } from "../src/api/admin/freeze-routes.ts";
import { countQuery, listQuery } from "../src/api/admin/key-query.ts";
import {
  cutOffBody,
  keyCountsResponse,
  keyListResponse,
  keyResponse,
  keyStatus,
  patchBody,
} from "../src/api/admin/key-schemas.ts";
import { limitsResponse } from "../src/api/admin/limit-routes.ts";
import {
  overrideBody,
  overrideListQuery,
  overrideListResponse,
  overrideResponse,
} from "../src/api/admin/override-schemas.ts";
import {
  fileProblem,
  policyCheckBody,
  policyCheckResponse,
  policySummary,
  replayedRequests,
  testedCases,
} from "../src/api/admin/policy-check-schemas.ts";
import {
  plansResponse,
  policyResponse,
  rejectedPolicy,
  reloadResponse,
  rolesResponse,
} from "../src/api/admin/policy-schemas.ts";
import { settingsResponse, shownSetting } from "../src/api/admin/settings-route.ts";
import { rotationStep, signingKey, signingKeysResponse } from "../src/api/admin/signing-keys-route.ts";
import { statusResponse } from "../src/api/admin/status-route.ts";
import { usageReportQuery, usageReportResponse } from "../src/api/admin/usage-schemas.ts";
import { verificationResponse } from "../src/api/admin/verification-routes.ts";
import { signedOutResponse } from "../src/api/console/session-replies.ts";
import {
  linkResponse,
  openedSessionResponse,
  operatorScope,
  sessionResponse,
  signInBody,
} from "../src/api/console/session-schemas.ts";
import { jwkSetResponse } from "../src/api/keys/jwks-route.ts";
import { confirmation, introspection, issuedKey, registerBody, validKey } from "../src/api/keys/schemas.ts";
import { holderLimitsResponse, usageQuery, usageResponse } from "../src/api/keys/usage-schemas.ts";
import {
  importQuery,
  importResponse,
  legacyIssued,
  legacyUse,
  migrationResponse,
  phase,
  phaseEffect,
  roleUse,
} from "../src/api/legacy/legacy-schemas.ts";
import {
  openedOwnerSessionResponse,
  ownerSessionResponse,
  ownKeyListResponse,
  ownListQuery,
  ownRegisterBody,
} from "../src/api/owner/owner-schemas.ts";
import { typeDeclarations } from "./json-schema-types.ts";

export const CLIENT_TYPES_FILE = new URL("../src/client/types.ts", import.meta.url);

/** The types that both requests and responses contain. */
const SHARED: Readonly<Record<string, z.ZodType>> = {
  Confirmation: confirmation,
  KeyStatus: keyStatus,
  Phase: phase,
};
/** The bodies and queries that the client sends. */
const REQUESTS: Readonly<Record<string, z.ZodType>> = {
  Registration: registerBody,
  KeyFilter: listQuery,
  CountedKeys: countQuery,
  KeyPatch: patchBody,
  CutOff: cutOffBody,
  LimitOverride: overrideBody,
  OverrideFilter: overrideListQuery,
  ImportOptions: importQuery,
  AuditQuery: auditQuery,
  NearLimitsQuery: nearLimitsQuery,
  TopUsageQuery: topUsageQuery,
  UsageQuery: usageQuery,
  UsageFilter: usageReportQuery,
  PolicyCheck: policyCheckBody,
  SignIn: signInBody,
  OwnKeyFilter: ownListQuery,
  OwnRegistration: ownRegisterBody,
};
/** The bodies that the API returns, and their named parts. */
const RESPONSES: Readonly<Record<string, z.ZodType>> = {
  IssuedKey: issuedKey,
  ValidKey: validKey,
  Introspection: introspection,
  Key: keyResponse,
  KeyList: keyListResponse,
  KeyCounts: keyCountsResponse,
  Limits: limitsResponse,
  AppliedOverride: overrideResponse,
  OverrideList: overrideListResponse,
  PolicyInForce: policyResponse,
  RejectedPolicy: rejectedPolicy,
  Plans: plansResponse,
  Roles: rolesResponse,
  Reload: reloadResponse,
  JwkSet: jwkSetResponse,
  OwnKeyList: ownKeyListResponse,
  SignedOut: signedOutResponse,
  OwnerSession: ownerSessionResponse,
  OpenedOwnerSession: openedOwnerSessionResponse,
  LegacyIssuedKey: legacyIssued,
  MigrationStatus: migrationResponse,
  FreezeStatus: freezeResponse,
  RoleUse: roleUse,
  PhaseEffect: phaseEffect,
  LegacyUse: legacyUse,
  ImportReport: importResponse,
  AuditEvents: auditResponse,
  AuditVerification: verificationResponse,
  PlanKeys: planKeysResponse,
  NearLimits: nearLimitsResponse,
  TopUsage: topUsageResponse,
  Status: statusResponse,
  CheckedPolicy: policyCheckResponse,
  PolicySummary: policySummary,
  FileProblem: fileProblem,
  TestedCases: testedCases,
  ReplayedRequests: replayedRequests,
  Settings: settingsResponse,
  Setting: shownSetting,
  SigningKeys: signingKeysResponse,
  SigningKey: signingKey,
  RotationStep: rotationStep,
  Figures: figures,
  OperatorScope: operatorScope,
  ConsoleSession: sessionResponse,
  OpenedConsoleSession: openedSessionResponse,
  ConsoleLink: linkResponse,
  HolderLimits: holderLimitsResponse,
  Usage: usageResponse,
  UsageReport: usageReportResponse,
};

const HEAD = `// Generated from the schemas of src/api by \`npm run client-types\`. Do not edit.
// A string that is a time has the format of RFC 3339.

/** Any JSON value. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };
`;

/** The text of src/client/types.ts, generated from the schemas of the API. */
export function clientTypes(): string {
  const requests = jsonSchemas({ ...SHARED, ...REQUESTS }, "input");
  const responses = jsonSchemas({ ...SHARED, ...RESPONSES }, "output");
  return HEAD + typeDeclarations({ ...requests, ...responses });
}

/** The JSON Schemas of named schemas. A named schema inside another one becomes a `$ref` to its name. */
function jsonSchemas(schemas: Readonly<Record<string, z.ZodType>>, io: "input" | "output") {
  const registry = z.registry<{ id?: string }>();
  for (const [name, schema] of Object.entries(schemas)) registry.add(schema, { id: name });
  return z.toJSONSchema(registry, { io, unrepresentable: "any", uri: (id) => id }).schemas;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(CLIENT_TYPES_FILE, clientTypes());
