import { streamedEvents } from "./event-stream.ts";
import type { DescribedRequest, Explanation } from "./explain-types.ts";
import { createTransport, pathSegment } from "./transport.ts";
import type {
  AppliedOverride,
  AuditEvents,
  AuditQuery,
  ConsoleLink,
  ConsoleSession,
  CutOff,
  Figures,
  FreezeStatus,
  HolderLimits,
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
  LimitOverride,
  Limits,
  MigrationStatus,
  OpenedConsoleSession,
  OpenedOwnerSession,
  OwnerSession,
  OwnKeyFilter,
  OwnRegistration,
  Phase,
  Plans,
  PolicyInForce,
  Registration,
  Reload,
  Roles,
  SignIn,
  Status,
  Usage,
  UsageFilter,
  UsageQuery,
  UsageReport,
  ValidKey,
} from "./types.ts";

export interface ClientOptions {
  /** The base URL of the key API, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** The credential of an operator, for the calls that require one. */
  readonly token?: string;
  /** Timeout of one call in milliseconds; 10,000 by default. */
  readonly timeoutMs?: number;
  /** Further headers of each call without a token, such as the proof of a console's session. */
  readonly headers?: () => Readonly<Record<string, string>>;
}

/** Makes a call that issues a key safe to repeat: the same `Idempotency-Key` returns the same key. */
export interface Repeatable {
  /** At least 22 unguessable characters. */
  readonly idempotencyKey?: string;
}

export type LatchkeyClient = ReturnType<typeof createClient>;

/**
 * Creates a typed client of the key API. A call rejects with `LatchkeyProblem` if the API returns a problem, and with
 * `LatchkeyUnreachable` if no valid response arrives; the call may have taken effect even then. An invalid argument causes a
 * TypeError, thrown here or as a rejection, before anything is sent. Its message never quotes a credential.
 */
export function createClient(options: ClientOptions) {
  const transport = createTransport(options);
  const { call, json } = transport;
  return {
    register: (registration: Registration, { idempotencyKey }: Repeatable = {}) =>
      json<IssuedKey>({ method: "POST", path: "/api/auth/v2/register", body: registration, idempotencyKey }),
    validate: (key: string) => json<ValidKey>({ method: "GET", path: "/api/auth/v2/validate", token: key }),
    /** The limits and quotas of this key. */
    ownLimits: (key: string) =>
      json<HolderLimits>({ method: "GET", path: "/api/auth/v2/limits", token: key }),
    /** The usage of this key, and of the keys that it was refreshed from. */
    ownUsage: (key: string, query: UsageQuery = {}) =>
      json<Usage>({ method: "GET", path: "/api/auth/v2/usage", token: key, query }),
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
    /** Registers an opaque (V1) key. */
    registerLegacy: (registration: { readonly name: string; readonly key_type: string }) =>
      json<LegacyIssuedKey>({ method: "POST", path: "/api/auth/register_api_key", body: registration }),
    /** Exchanges a V1 key for a V2 key. */
    migrate: (legacyKey: string) =>
      json<IssuedKey>({ method: "POST", path: "/api/auth/v2/migrate", body: { legacy_key: legacyKey } }),
    /** The public keys that verify keys; empty if a secret signs the keys. */
    jwks: () => json<JwkSet>({ method: "GET", path: "/.well-known/jwks.json" }),
    keys: keyCalls(transport),
    usage: usageCalls(transport),
    console: consoleCalls(transport),
    owner: ownerCalls(transport),
    ...operatorCalls(transport),
  };
}

type Transport = ReturnType<typeof createTransport>;

function keyCalls({ call, json }: Transport) {
  const keyPath = (keyId: string) => `/api/admin/keys/${pathSegment(keyId)}`;
  return {
    list: (filter: KeyFilter = {}) =>
      json<KeyList>({ method: "GET", path: "/api/admin/keys", query: filter }),
    /** Every key that matches the filter, loaded page by page. */
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
    /** Revokes this key only. `withoutRecord` also revokes a key without a record, for example because Redis lost it. */
    revoke: (keyId: string, { withoutRecord = false }: { readonly withoutRecord?: boolean } = {}) =>
      call({
        method: "DELETE",
        path: keyPath(keyId),
        ...(withoutRecord && { query: { without_record: true } }),
      }),
    /** Issues the successor now. `overlap`: seconds for which the old key stays valid. */
    rotate: (keyId: string, rotation: { readonly overlap?: number } = {}) =>
      json<IssuedKey>({ method: "POST", path: `${keyPath(keyId)}/rotate`, body: rotation }),
    revokeFamily: (family: string) =>
      call({ method: "DELETE", path: `/api/admin/families/${pathSegment(family)}` }),
    /** For incidents. `before` is RFC 3339. Without role and owner it revokes every key. */
    revokeIssuedBefore: (cutOff: CutOff) =>
      call({ method: "POST", path: "/api/admin/revoke-issued-before", body: cutOff }),
    /** Imports V1 keys from lines of NDJSON, at most 8 MB. Importing an existing key changes nothing. */
    import: (lines: string, options: ImportOptions = {}) =>
      json<ImportReport>({ method: "POST", path: "/api/admin/keys:import", query: options, lines }),
    revokeOwner: (owner: string) =>
      call({ method: "DELETE", path: `/api/admin/owners/${pathSegment(owner)}` }),
  };
}

/** The sessions of the console, for its pages, and the link that opens one. */
function consoleCalls({ call, json }: Transport) {
  const path = "/api/console/session";
  return {
    signIn: (by: SignIn) => json<OpenedConsoleSession>({ method: "POST", path, body: by }),
    /** Exchanges a sign-in by OpenID Connect, which is in a cookie. */
    signInByOidc: () => json<OpenedConsoleSession>({ method: "POST", path: `${path}/oidc` }),
    session: () => json<ConsoleSession>({ method: "GET", path }),
    /** Moves the end of an idle session. */
    renew: () => json<ConsoleSession>({ method: "PUT", path }),
    signOut: () => call({ method: "DELETE", path }),
    /** Creates a link that signs in once with the client's own token. */
    link: () => json<ConsoleLink>({ method: "POST", path: "/api/console/links" }),
  };
}

/** The keys of a holder that has signed in by OpenID Connect. */
function ownerCalls({ call, json }: Transport) {
  const session = "/api/owner/session";
  const keys = "/api/owner/keys";
  const keyPath = (keyId: string) => `${keys}/${pathSegment(keyId)}`;
  return {
    /** Exchanges a sign-in, which is in a cookie. */
    signIn: () => json<OpenedOwnerSession>({ method: "POST", path: session }),
    session: () => json<OwnerSession>({ method: "GET", path: session }),
    /** Moves the end of an idle session. */
    renew: () => json<OwnerSession>({ method: "PUT", path: session }),
    signOut: () => call({ method: "DELETE", path: session }),
    list: (filter: OwnKeyFilter = {}) => json<KeyList>({ method: "GET", path: keys, query: filter }),
    create: (registration: OwnRegistration, { idempotencyKey }: Repeatable = {}) =>
      json<IssuedKey>({ method: "POST", path: keys, body: registration, idempotencyKey }),
    /** Issues the successor now. `overlap`: seconds for which the old key stays valid. */
    rotate: (
      keyId: string,
      rotation: { readonly overlap?: number } = {},
      { idempotencyKey }: Repeatable = {},
    ) =>
      json<IssuedKey>({ method: "POST", path: `${keyPath(keyId)}/rotate`, body: rotation, idempotencyKey }),
    /** `family`: also its predecessors and successors. */
    revoke: (keyId: string, { family = false }: { readonly family?: boolean } = {}) =>
      call({ method: "DELETE", path: keyPath(keyId), ...(family && { query: { family: true } }) }),
    limits: (keyId: string) => json<HolderLimits>({ method: "GET", path: `${keyPath(keyId)}/limits` }),
    usage: (keyId: string, query: UsageQuery = {}) =>
      json<Usage>({ method: "GET", path: `${keyPath(keyId)}/usage`, query }),
  };
}

function usageCalls({ json }: Transport) {
  return {
    report: (filter: UsageFilter = {}) =>
      json<UsageReport>({ method: "GET", path: "/api/admin/usage", query: filter }),
    /** Every row that matches the filter, loaded page by page. */
    async *all(filter: Omit<UsageFilter, "cursor"> = {}): AsyncGenerator<UsageReport["usage"][number]> {
      let cursor: string | undefined;
      do {
        const query: UsageFilter = cursor === undefined ? filter : { ...filter, cursor };
        const page = await json<UsageReport>({ method: "GET", path: "/api/admin/usage", query });
        yield* page.usage;
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined);
    },
  };
}

async function* streamFigures(open: Transport["open"], signal: AbortSignal): AsyncGenerator<Figures> {
  const request = { method: "GET", path: "/api/admin/figures", signal } as const;
  const { body } = await open(request);
  if (body === null) return;
  for await (const { type, data } of streamedEvents(body)) {
    // A credential that is no longer valid ends the stream. The next call gets the whole problem.
    if (type === "end") return void (await (await open(request)).body?.cancel());
    const event: Figures = JSON.parse(data);
    yield event;
  }
}

/** Whose limits an override changes. */
export type LimitSubject = { readonly owner: string } | { readonly family: string };

function overridePath(subject: LimitSubject): string {
  return "owner" in subject
    ? `/api/admin/owners/${pathSegment(subject.owner)}/limits`
    : `/api/admin/families/${pathSegment(subject.family)}/limits`;
}

function operatorCalls({ call, json, open }: Transport) {
  const limitsPath = (keyId: string) => `/api/admin/limits/${pathSegment(keyId)}`;
  return {
    /** Explains the decision that a request would get. No token is spent. */
    explain: (request: DescribedRequest) =>
      json<Explanation>({ method: "POST", path: "/api/admin/explain", body: request }),
    policy: {
      show: () => json<PolicyInForce>({ method: "GET", path: "/api/admin/policy" }),
      plans: () => json<Plans>({ method: "GET", path: "/api/admin/plans" }),
      roles: () => json<Roles>({ method: "GET", path: "/api/admin/roles" }),
      /** Reloads the policy file of one instance now. */
      reload: () => json<Reload>({ method: "POST", path: "/api/admin/policy/reload" }),
    },
    /** One instance, its store and the other instances. */
    status: () => json<Status>({ method: "GET", path: "/api/admin/status" }),
    /**
     * The figures of one instance, every two seconds, until the signal aborts. Rejects with `LatchkeyUnreachable` if the
     * connection is lost, and with `LatchkeyProblem` if the credential is no longer valid.
     */
    figures: (signal: AbortSignal) => streamFigures(open, signal),
    audit: (query: AuditQuery = {}) => json<AuditEvents>({ method: "GET", path: "/api/admin/audit", query }),
    migration: {
      show: () => json<MigrationStatus>({ method: "GET", path: "/api/admin/migration" }),
      /** Sets the phase for all instances. With `from-policy`, the policy file determines it again. */
      set: (phase: Phase | "from-policy") =>
        json<MigrationStatus>({ method: "PUT", path: "/api/admin/migration", body: { phase } }),
    },
    /** The freeze of the registry, for the last step of a copy into another store. */
    freeze: {
      show: () => json<FreezeStatus>({ method: "GET", path: "/api/admin/freeze" }),
      /** Freezes for 1 to 600 seconds from now. Checks and revocations go on. */
      start: (seconds: number) =>
        json<FreezeStatus>({ method: "PUT", path: "/api/admin/freeze", body: { seconds } }),
      end: () => call({ method: "DELETE", path: "/api/admin/freeze" }),
    },
    limits: {
      show: (keyId: string) => json<Limits>({ method: "GET", path: limitsPath(keyId) }),
      /** Fills the buckets of the key's family and owner. */
      reset: (keyId: string) => call({ method: "DELETE", path: limitsPath(keyId) }),
      /** What the owner or the family gets instead of what its keys and roles say. */
      showOverride: (subject: LimitSubject) =>
        json<AppliedOverride>({ method: "GET", path: overridePath(subject) }),
      /** Replaces the former override. */
      setOverride: (subject: LimitSubject, override: LimitOverride) =>
        call({ method: "PUT", path: overridePath(subject), body: override }),
      clearOverride: (subject: LimitSubject) => call({ method: "DELETE", path: overridePath(subject) }),
    },
  };
}
