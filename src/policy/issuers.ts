import { z } from "zod";
import { OPERATOR_SCOPES } from "../core/keys/operator.ts";
import { parseDuration } from "../core/policy/duration.ts";
import type { Issuer, IssuerAlgorithm } from "../core/policy/issuer.ts";
import { ISSUER_ALGORITHMS, ISSUER_TOKEN_BYTES, issuerAlgorithm } from "../core/policy/issuer.ts";
import type { Role } from "../core/policy/policy.ts";
import { claim } from "./claim-path.ts";
import { name } from "./names.ts";
import type { Problem } from "./problem.ts";
import { didYouMean } from "./suggestion.ts";

// The name is a prefix of ids in headers, bucket names and URLs.
const issuerName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, "must be lower-case letters, digits and -, at most 32");

const algorithm = z.string().transform((name, context): IssuerAlgorithm => {
  const known = issuerAlgorithm(name);
  if (known !== undefined) return known;
  context.addIssue(`must be one of ${ISSUER_ALGORITHMS.join(", ")}`);
  return z.NEVER;
});

const MAX_CLOCK_SKEW_SECONDS = 600;

const clockSkew = z.string().transform((text, context) => {
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds <= MAX_CLOCK_SKEW_SECONDS) return seconds;
  context.addIssue(`"${text}" is not a duration of at most 10m, such as 60s`);
  return z.NEVER;
});

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Keys must not be modifiable in transit. */
const jwksUri = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== "" || url.password !== "" || url.hash !== "") return false;
  return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.test(url.hostname));
}, "must be an https URL without user and fragment; http only on loopback");

/** One entry of `issuers`. */
export const issuerSchema = z.strictObject({
  name: issuerName,
  issuer: z.string().min(1).max(512),
  jwks_uri: jwksUri,
  audience: z.string().min(1).max(512),
  algorithms: z
    .array(algorithm)
    .min(1)
    .default([...ISSUER_ALGORITHMS]),
  typ: z.string().min(1).max(64).optional(),
  roles: z.array(name).min(1),
  default_role: name.optional(),
  role_map: z.record(z.string(), name).default({}),
  claims: z
    .strictObject({
      id: claim.prefault("sub"),
      role: claim.prefault("role"),
      scope: claim.optional(),
      owner: claim.optional(),
      name: claim.optional(),
      plan: claim.optional(),
    })
    .prefault({}),
  plans: z.array(name).max(1000).default([]),
  max_token_bytes: z.int().min(1024).max(ISSUER_TOKEN_BYTES.max).default(ISSUER_TOKEN_BYTES.default),
  clock_skew: clockSkew.prefault("60s"),
});

export function toIssuer({
  jwks_uri,
  default_role,
  role_map,
  typ,
  claims,
  max_token_bytes,
  clock_skew,
  ...entry
}: z.output<typeof issuerSchema>): Issuer {
  const { scope, owner, name, plan, ...where } = claims;
  return {
    ...entry,
    jwksUri: jwks_uri,
    ...(typ !== undefined && { typ }),
    ...(default_role !== undefined && { defaultRole: default_role }),
    roleMap: new Map(Object.entries(role_map)),
    maxTokenBytes: max_token_bytes,
    clockSkewSeconds: clock_skew,
    claims: {
      ...where,
      ...(scope !== undefined && { scope }),
      ...(owner !== undefined && { owner }),
      ...(name !== undefined && { name }),
      ...(plan !== undefined && { plan }),
    },
  };
}

/** Checks of the issuers that the schema cannot express. */
export function* issuerProblems(
  issuers: readonly Issuer[],
  roles: ReadonlyMap<string, Role>,
  ownIssuer: string | undefined,
): Generator<Problem> {
  for (const [index, entry] of issuers.entries()) {
    const at = ["issuers", index];
    const before = issuers.slice(0, index);
    if (before.some(({ name }) => name === entry.name))
      yield { path: [...at, "name"], message: `a second issuer "${entry.name}"` };
    if (before.some(({ issuer }) => issuer === entry.issuer))
      yield { path: [...at, "issuer"], message: "a second entry for this issuer" };
    if (entry.issuer === ownIssuer)
      yield { path: [...at, "issuer"], message: "is JWT_ISSUER, the issuer of this instance" };
    yield* givenRoleProblems(entry, at, roles);
  }
}

function* givenRoleProblems(
  entry: Issuer,
  at: readonly PropertyKey[],
  roles: ReadonlyMap<string, Role>,
): Generator<Problem> {
  for (const [position, name] of entry.roles.entries()) {
    const role = roles.get(name);
    const path = [...at, "roles", position];
    if (role === undefined) {
      yield { path, message: `unknown role "${name}"${didYouMean(name, roles.keys())}` };
      continue;
    }
    const operatorScope = OPERATOR_SCOPES.find((scope) => role.scopes.has(scope));
    if (operatorScope !== undefined || role.mayGrant.length > 0)
      yield {
        path,
        message: `another party makes no operators: this role has ${operatorScope ?? "may_grant"}`,
      };
  }
  const given: [readonly PropertyKey[], string][] = [
    ...(entry.defaultRole === undefined ? [] : [[["default_role"], entry.defaultRole] as [string[], string]]),
    ...[...entry.roleMap].map(([word, role]): [string[], string] => [["role_map", word], role]),
  ];
  for (const [path, role] of given) {
    if (!entry.roles.includes(role))
      yield { path: [...at, ...path], message: `"${role}" is not one of the roles of this issuer` };
  }
}
