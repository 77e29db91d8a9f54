import type { DescribedRequest, Explanation } from "./explain-types.ts";
import { createTransport, pathSegment } from "./transport.ts";
import type {
  AuditEvents,
  AuditQuery,
  CutOff,
  ImportOptions,
  ImportReport,
  Introspection,
  IssuedKey,
  JwkSet,
  Key,
  KeyFilter,
  KeyList,
  KeyPatch,
  LegacyIssuedKey,
  Limits,
  MigrationStatus,
  Phase,
  PolicyInForce,
  Registration,
  Reload,
  Roles,
  ValidKey,
} from "./types.ts";

export interface ClientOptions {
  /** Where the key API answers, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** An operator's credential, for the calls that need one. */
  readonly token?: string;
  /** Milliseconds for one call; 10,000 by default. */
  readonly timeoutMs?: number;
}

/** How a call that makes a key is repeated safely: the same `Idempotency-Key` gives the same key. */
export interface Repeatable {
  /** At least 22 characters that nobody can guess. */
  readonly idempotencyKey?: string;
}

export type LatchkeyClient = ReturnType<typeof createClient>;

/**
 * The key API, typed. Every call rejects with `LatchkeyProblem` when it is refused, and with `LatchkeyUnreachable`
 * when no answer came: then it may have been done all the same. Throws a TypeError, or rejects with one, where nothing was
 * sent because an argument cannot be; its message quotes no credential.
 */
export function createClient(options: ClientOptions) {
  const transport = createTransport(options);
  const { call, json } = transport;
  return {
    register: (registration: Registration, { idempotencyKey }: Repeatable = {}) =>
      json<IssuedKey>({ method: "POST", path: "/api/auth/v2/register", body: registration, idempotencyKey }),
    validate: (key: string) => json<ValidKey>({ method: "GET", path: "/api/auth/v2/validate", token: key }),
    refresh: (key: string, { idempotencyKey }: Repeatable = {}) =>
      json<IssuedKey>({
        method: "POST",
        path: "/api/auth/v2/refresh",
        body: { current_key: key },
        idempotencyKey,
      }),
    revoke: (key: string) =>
      call({ method: "POST", path: "/api/auth/v2/revoke", body: { current_key: key } }),
    introspect: (key: string) =>
      json<Introspection>({ method: "POST", path: "/api/auth/v2/introspect", form: { token: key } }),
    /** An opaque (V1) key. */
    registerLegacy: (registration: { readonly name: string; readonly key_type: string }) =>
      json<LegacyIssuedKey>({ method: "POST", path: "/api/auth/register_api_key", body: registration }),
    /** A V2 key for a V1 key. */
    migrate: (legacyKey: string) =>
      json<IssuedKey>({ method: "POST", path: "/api/auth/v2/migrate", body: { legacy_key: legacyKey } }),
    /** The public keys that verify keys; none where a secret signs. */
    jwks: () => json<JwkSet>({ method: "GET", path: "/.well-known/jwks.json" }),
    keys: keyCalls(transport),
    ...operatorCalls(transport),
  };
}

type Transport = ReturnType<typeof createTransport>;

function keyCalls({ call, json }: Transport) {
  const keyPath = (keyId: string) => `/api/admin/keys/${pathSegment(keyId)}`;
  return {
    list: (filter: KeyFilter = {}) =>
      json<KeyList>({ method: "GET", path: "/api/admin/keys", query: filter }),
    /** Every key that fits, page after page. */
    async *all(filter: Omit<KeyFilter, "cursor"> = {}): AsyncGenerator<Key> {
      let cursor: string | undefined;
      do {
        const query: KeyFilter = cursor === undefined ? filter : { ...filter, cursor };
        const page = await json<KeyList>({ method: "GET", path: "/api/admin/keys", query });
        yield* page.keys;
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined);
    },
    show: (keyId: string) => json<Key>({ method: "GET", path: keyPath(keyId) }),
    change: (keyId: string, patch: KeyPatch) =>
      json<Key>({ method: "PATCH", path: keyPath(keyId), body: patch }),
    /** This key alone. `withoutRecord`: also one of which there is no record, which Redis may have lost. */
    revoke: (keyId: string, { withoutRecord = false }: { readonly withoutRecord?: boolean } = {}) =>
      call({
        method: "DELETE",
        path: keyPath(keyId),
        ...(withoutRecord && { query: { without_record: true } }),
      }),
    /** A successor now. `overlap`: seconds that the old key stays good. */
    rotate: (keyId: string, rotation: { readonly overlap?: number } = {}) =>
      json<IssuedKey>({ method: "POST", path: `${keyPath(keyId)}/rotate`, body: rotation }),
    revokeFamily: (family: string) =>
      call({ method: "DELETE", path: `/api/admin/families/${pathSegment(family)}` }),
    /** The incident switch: `before` is RFC 3339; without role and owner it ends every key. */
    revokeIssuedBefore: (cutOff: CutOff) =>
      call({ method: "POST", path: "/api/admin/revoke-issued-before", body: cutOff }),
    /** Lines of NDJSON with V1 keys, up to 8 MB; again what is there changes nothing. */
    import: (lines: string, options: ImportOptions = {}) =>
      json<ImportReport>({ method: "POST", path: "/api/admin/keys:import", query: options, lines }),
    revokeOwner: (owner: string) =>
      call({ method: "DELETE", path: `/api/admin/owners/${pathSegment(owner)}` }),
  };
}

function operatorCalls({ call, json }: Transport) {
  const limitsPath = (keyId: string) => `/api/admin/limits/${pathSegment(keyId)}`;
  return {
    /** Why a request would get its decision; nothing is spent. */
    explain: (request: DescribedRequest) =>
      json<Explanation>({ method: "POST", path: "/api/admin/explain", body: request }),
    policy: {
      show: () => json<PolicyInForce>({ method: "GET", path: "/api/admin/policy" }),
      roles: () => json<Roles>({ method: "GET", path: "/api/admin/roles" }),
      /** Has one instance look at its file now. */
      reload: () => json<Reload>({ method: "POST", path: "/api/admin/policy/reload" }),
    },
    audit: (query: AuditQuery = {}) => json<AuditEvents>({ method: "GET", path: "/api/admin/audit", query }),
    migration: {
      show: () => json<MigrationStatus>({ method: "GET", path: "/api/admin/migration" }),
      /** For all instances; `from-policy` gives the phase back to the policy file. */
      set: (phase: Phase | "from-policy") =>
        json<MigrationStatus>({ method: "PUT", path: "/api/admin/migration", body: { phase } }),
    },
    limits: {
      show: (keyId: string) => json<Limits>({ method: "GET", path: limitsPath(keyId) }),
      /** Fills the buckets of the key's family and owner. */
      reset: (keyId: string) => call({ method: "DELETE", path: limitsPath(keyId) }),
    },
  };
}
