import { z } from "zod";
import type { Issuer } from "../core/issuer.ts";
import { ISSUER_ALGORITHMS } from "../core/issuer.ts";
import { OPERATOR_SCOPES } from "../core/operator.ts";
import type { Role } from "../core/policy.ts";
import type { Problem } from "./consistency.ts";
import { name } from "./names.ts";
import { didYouMean } from "./suggestion.ts";

// It heads ids in headers, buckets and URLs.
const issuerName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, "must be lower-case letters, digits and -, at most 32");
const claim = z.string().min(1).max(200);

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Where keys come from must not be anybody's to change on the way. */
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
    .array(z.enum(ISSUER_ALGORITHMS))
    .min(1)
    .default([...ISSUER_ALGORITHMS]),
  typ: z.string().min(1).max(64).optional(),
  roles: z.array(name).min(1),
  default_role: name.optional(),
  role_map: z.record(z.string(), name).default({}),
  claims: z
    .strictObject({
      id: claim.default("sub"),
      role: claim.default("role"),
      scope: claim.optional(),
      owner: claim.optional(),
      name: claim.optional(),
    })
    .prefault({}),
});

export function toIssuer({
  jwks_uri,
  default_role,
  role_map,
  typ,
  claims,
  ...entry
}: z.output<typeof issuerSchema>): Issuer {
  const { scope, owner, name, ...where } = claims;
  return {
    ...entry,
    jwksUri: jwks_uri,
    ...(typ !== undefined && { typ }),
    ...(default_role !== undefined && { defaultRole: default_role }),
    roleMap: new Map(Object.entries(role_map)),
    claims: {
      ...where,
      ...(scope !== undefined && { scope }),
      ...(owner !== undefined && { owner }),
      ...(name !== undefined && { name }),
    },
  };
}

/** What the schema cannot see of other issuers. */
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
      yield { path: [...at, "issuer"], message: "is JWT_ISSUER: that is who we are" };
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
      yield { path: [...at, ...path], message: `"${role}" is none of this issuer's roles` };
  }
}
