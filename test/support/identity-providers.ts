import { createHash } from "node:crypto";
import { importJWK, SignJWT } from "jose";
import { readDocument } from "./documents.ts";
import type { TestJwk } from "./jwk.ts";
import { jwkSet, newJwk, publicPart } from "./jwk.ts";

type Members = Readonly<Record<string, unknown>>;

/** The provider's block in docs/guides/identity-providers.md: YAML that begins with `issuers:`. */
export function documentedBlock(name: string): string {
  const section = readDocument("docs/guides/identity-providers.md").split(`\n## ${name}\n`)[1] ?? "";
  return section.split("```yaml\n")[1]?.split("```")[0] ?? "";
}

/** A token and a key set in an identity provider's published format, with our keys. */
export interface IdentityProvider {
  /** The block of its section in docs/guides/identity-providers.md. */
  readonly name: string;
  /** Its published JWK Set. */
  readonly published: string;
  /** Signs a token in its format; `iss` and `aud` are those of the policy. */
  token(names: { readonly issuer: string; readonly audience: string }, changes?: Members): Promise<string>;
  /** What Latchkey reads from it. */
  readonly expected: { readonly role: string; readonly family: string; readonly name: string };
}

interface Form {
  readonly name: string;
  readonly keys: (signing: TestJwk) => readonly TestJwk[];
  readonly header: Members;
  readonly claims: (names: { readonly issuer: string; readonly audience: string }) => Members;
  readonly expected: IdentityProvider["expected"];
}

const nowSeconds = Math.floor(Date.now() / 1000);
const times = { iat: nowSeconds, exp: nowSeconds + 3600 };
/** The certificate's content does not matter: Latchkey reads keys from their members only. */
const x5c = { x5c: ["MIIC"], x5t: "dGh1bWI" };
const without = (jwk: TestJwk, ...members: readonly string[]): TestJwk => ({
  ...Object.fromEntries(Object.entries(jwk).filter(([member]) => !members.includes(member))),
  kid: jwk.kid,
});

const FORMS: readonly Form[] = [
  {
    name: "Keycloak",
    // One RSA key under one kid for signatures and for encryption, as after an imported keystore.
    keys: (signing) => [
      { ...signing, ...x5c },
      { ...signing, use: "enc", alg: "RSA-OAEP", ...x5c },
    ],
    header: { typ: "JWT" },
    claims: ({ issuer, audience }) => ({
      ...times,
      jti: "onrtac:6e7a3a0e-7a0f-4b0b-9e0e-2f8f0f3d7c55",
      iss: issuer,
      aud: [audience, "account"],
      sub: "f4b1c7b2-1111-4222-8333-444455556666",
      typ: "Bearer",
      azp: "web",
      sid: "5c7f",
      acr: "1",
      "allowed-origins": ["https://app.example.com"],
      realm_access: { roles: ["offline_access", "uma_authorization"] },
      resource_access: {
        "api.example.com": { roles: ["contributor"] },
        account: { roles: ["view-profile"] },
      },
      scope: "openid profile email",
      preferred_username: "alice",
    }),
    expected: {
      role: "contributor",
      family: "keycloak:f4b1c7b2-1111-4222-8333-444455556666",
      name: "alice",
    },
  },
  {
    name: "Microsoft Entra ID",
    // No alg, and members of its own.
    keys: (signing) => [
      { ...without(signing, "alg"), ...x5c, issuer: "https://login.microsoftonline.com/{tenantid}/v2.0" },
      { ...without(newJwk("RS256", "other"), "alg"), ...x5c, cloud_instance_name: "microsoftonline.com" },
    ],
    header: { typ: "JWT" },
    claims: ({ issuer, audience }) => ({
      ...times,
      nbf: times.iat,
      aud: audience,
      iss: issuer,
      azp: "77777777-0000-0000-0000-000000000000",
      azpacr: "1",
      name: "Alice Ångström",
      oid: "88888888-1111-2222-3333-444444444444",
      preferred_username: "alice@example.com",
      rh: "0.AXoA",
      roles: ["Chat.Read"],
      scp: "access_as_user",
      sub: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
      tid: "11111111-2222-3333-4444-555555555555",
      uti: "fqiBqXLPj0eQa82S-IYFAA",
      ver: "2.0",
    }),
    expected: {
      role: "basic",
      family: "entra:88888888-1111-2222-3333-444444444444",
      name: "Alice Ångström",
    },
  },
  {
    name: "Auth0",
    // One key for two algorithms.
    keys: (signing) => [
      { ...signing, ...x5c },
      { ...signing, alg: "PS256", ...x5c },
    ],
    header: { typ: "at+jwt" },
    claims: ({ issuer, audience }) => ({
      ...times,
      iss: issuer,
      sub: "auth0|507f1f77bcf86cd799439020",
      aud: [audience, `${issuer}userinfo`],
      azp: "my_client_id",
      scope: "openid profile chat:read",
      jti: "Xj7q",
      permissions: ["chat:read"],
      "https://api.example.com/roles": ["basic"],
    }),
    expected: {
      role: "basic",
      family: "auth0:auth0%7C507f1f77bcf86cd799439020",
      name: "auth0|507f1f77bcf86cd799439020",
    },
  },
  {
    name: "Okta",
    keys: (signing) => [signing, newJwk("RS256", "next")],
    header: {},
    claims: ({ issuer, audience }) => ({
      ...times,
      ver: 1,
      jti: "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
      iss: issuer,
      aud: audience,
      cid: "nmdP1fcyvdVO11AL7ECm",
      uid: "00ujmkLgagxeRrAg20g3",
      scp: ["openid", "profile"],
      auth_time: times.iat,
      sub: "alice@example.com",
      groups: ["Everyone", "API contributors"],
    }),
    expected: { role: "contributor", family: "okta:00ujmkLgagxeRrAg20g3", name: "alice@example.com" },
  },
  {
    name: "Zitadel",
    keys: (signing) => [signing],
    header: { typ: "JWT" },
    claims: ({ issuer, audience }) => ({
      ...times,
      iss: issuer,
      sub: "345377791925026818",
      aud: [audience, "345377791925026819"],
      nbf: times.iat,
      client_id: "345377791925026819",
      jti: "V2_345377791925026820-at_345377791925026821",
      "urn:zitadel:iam:org:project:roles": {
        contributor: { "344373908297744388": "acme.example.com" },
        another: { "344373908297744388": "acme.example.com" },
      },
      "urn:zitadel:iam:user:resourceowner:id": "344373908297744388",
    }),
    expected: { role: "contributor", family: "zitadel:345377791925026818", name: "345377791925026818" },
  },
  {
    name: "Google",
    keys: (signing) => [newJwk("RS256", "other"), signing],
    header: { typ: "JWT" },
    claims: ({ issuer, audience }) => ({
      ...times,
      iss: issuer,
      azp: audience,
      aud: audience,
      sub: "110169484474386276334",
      hd: "example.com",
      email: "alice@example.com",
      email_verified: true,
      at_hash: "HK6E_P6Dh8Y93mRNtsDB1Q",
    }),
    expected: { role: "contributor", family: "google:110169484474386276334", name: "alice@example.com" },
  },
];

export const IDENTITY_PROVIDERS: readonly IdentityProvider[] = FORMS.map(
  ({ keys, header, claims, ...form }) => {
    const signing = newJwk("RS256", createHash("sha256").update(form.name).digest("base64url"));
    return {
      ...form,
      published: jwkSet(...keys(signing).map(publicPart)),
      async token(names, changes = {}) {
        return new SignJWT({ ...claims(names), ...changes })
          .setProtectedHeader({ alg: "RS256", kid: signing.kid, ...header })
          .sign(await importJWK({ ...signing }, "RS256"));
      },
    };
  },
);
