import { auditCalls } from "./audit-calls.ts";
import { streamedEvents } from "./event-stream.ts";
import type { DescribedRequest, Explanation } from "./explain-types.ts";
import type { KeyTotals } from "./key-totals.ts";
import { sumOf } from "./key-totals.ts";
import { limitCalls } from "./limit-calls.ts";
import { allPages } from "./pages.ts";
import type { Transport } from "./transport.ts";
import { createTransport, pathSegment } from "./transport.ts";
import type {
  CheckedPolicy,
  ConsoleLink,
  ConsoleSession,
  CountedKeys,
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
  KeyCounts,
  KeyFilter,
  KeyList,
  KeyPatch,
  LegacyIssuedKey,
  MigrationStatus,
  OpenedConsoleSession,
  OpenedOwnerSession,
  OwnerSession,
  OwnKeyFilter,
  OwnKeyList,
  OwnRegistration,
  Phase,
  PlanKeys,
  Plans,
  PolicyCheck,
  PolicyInForce,
  Registration,
  Reload,
  Roles,
  Settings,
  SignedOut,
  SignIn,
  SigningKeys,
  Status,
  TopUsage,
  TopUsageQuery,
  Usage,
  UsageFilter,
  UsageQuery,
  UsageReport,
  ValidKey,
} from "./types.ts";

/** Longer than an instance takes at most. */
const POLICY_CHECK_TIMEOUT_MS = 40_000;

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

function keyCalls({ call, json }: Transport) {
  const keyPath = (keyId: string) => `/api/admin/keys/${pathSegment(keyId)}`;
  const list = (filter: KeyFilter = {}) =>
    json<KeyList>({ method: "GET", path: "/api/admin/keys", query: filter });
  return {
    list,
    /** Every key that matches the filter, loaded page by page. */
    async *all(filter: Omit<KeyFilter, "cursor"> = {}): AsyncGenerator<Key> {
      for await (const { keys } of allPages((next) => list({ ...filter, ...next }))) yield* keys;
    },
    /** Counts the matching keys of one part of the registry. */
    count: (filter: CountedKeys = {}) =>
      json<KeyCounts>({ method: "GET", path: "/api/admin/keys:count", query: filter }),
    /** Counts all keys that match the filter, part by part: what a revocation of them would affect. */
    async total(filter: Omit<CountedKeys, "cursor"> = {}): Promise<KeyTotals> {
      const parts: KeyCounts[] = [];
      let cursor: string | undefined;
      do {
        const query: CountedKeys = cursor === undefined ? filter : { ...filter, cursor };
        const part = await json<KeyCounts>({ method: "GET", path: "/api/admin/keys:count", query });
        parts.push(part);
        cursor = part.next_cursor ?? undefined;
      } while (cursor !== undefined);
      return sumOf(parts);
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
function consoleCalls({ json }: Transport) {
  const path = "/api/console/session";
  return {
    signIn: (by: SignIn) => json<OpenedConsoleSession>({ method: "POST", path, body: by }),
    /** Exchanges a sign-in by OpenID Connect, which is in a cookie. */
    signInByOidc: () => json<OpenedConsoleSession>({ method: "POST", path: `${path}/oidc` }),
    session: () => json<ConsoleSession>({ method: "GET", path }),
    /** Moves the end of an idle session. */
    renew: () => json<ConsoleSession>({ method: "PUT", path }),
    signOut: () => json<SignedOut>({ method: "DELETE", path }),
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
    signOut: () => json<SignedOut>({ method: "DELETE", path: session }),
    list: (filter: OwnKeyFilter = {}) => json<OwnKeyList>({ method: "GET", path: keys, query: filter }),
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
  const report = (filter: UsageFilter = {}) =>
    json<UsageReport>({ method: "GET", path: "/api/admin/usage", query: filter });
  return {
    report,
    /** The owners, families or routes with the most usage. The count may still run: see `complete`. */
    top: (query: TopUsageQuery = {}) =>
      json<TopUsage>({ method: "GET", path: "/api/admin/usage/top", query }),
    /** Every row that matches the filter, loaded page by page. */
    async *all(filter: Omit<UsageFilter, "cursor"> = {}): AsyncGenerator<UsageReport["usage"][number]> {
      for await (const { usage } of allPages((next) => report({ ...filter, ...next }))) yield* usage;
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

function operatorCalls(transport: Transport) {
  const { call, json, open } = transport;
  return {
    /** Explains the decision that a request would get. No token is spent. */
    explain: (request: DescribedRequest) =>
      json<Explanation>({ method: "POST", path: "/api/admin/explain", body: request }),
    policy: {
      show: () => json<PolicyInForce>({ method: "GET", path: "/api/admin/policy" }),
      plans: () => json<Plans>({ method: "GET", path: "/api/admin/plans" }),
      /** How many keys have each plan. The count may still run: see `complete`. */
      planKeys: () => json<PlanKeys>({ method: "GET", path: "/api/admin/plans/keys" }),
      roles: () => json<Roles>({ method: "GET", path: "/api/admin/roles" }),
      /** What would be wrong with a policy, or what it would change. It never becomes active. It may take 30 seconds. */
      check: (check: PolicyCheck) =>
        json<CheckedPolicy>({
          method: "POST",
          path: "/api/admin/policy/check",
          body: check,
          timeoutMs: POLICY_CHECK_TIMEOUT_MS,
        }),
      /** Reloads the policy file of one instance now. */
      reload: () => json<Reload>({ method: "POST", path: "/api/admin/policy/reload" }),
    },
    /** One instance, its store and the other instances. */
    status: () => json<Status>({ method: "GET", path: "/api/admin/status" }),
    ...auditCalls(transport),
    /** The settings of one instance, without its secrets. */
    settings: () => json<Settings>({ method: "GET", path: "/api/admin/settings" }),
    /** The keys that sign and verify, and the next step of their rotation. */
    signingKeys: () => json<SigningKeys>({ method: "GET", path: "/api/admin/signing-keys" }),
    /**
     * The figures of one instance, every two seconds, until the signal aborts. Rejects with `LatchkeyUnreachable` if the
     * connection is lost, and with `LatchkeyProblem` if the credential is no longer valid.
     */
    figures: (signal: AbortSignal) => streamFigures(open, signal),
    migration: {
      show: () => json<MigrationStatus>({ method: "GET", path: "/api/admin/migration" }),
      /**
       * Sets the phase for all instances. With `from-policy`, the policy file determines it again.
       * @param from the phase on which the decision is based; if another one is in force, the problem `changed-meanwhile` has it
       */
      set: (phase: Phase | "from-policy", from?: Phase) =>
        json<MigrationStatus>({ method: "PUT", path: "/api/admin/migration", body: { phase, from } }),
    },
    /** The freeze of the registry, for the last step of a copy into another store. */
    freeze: {
      show: () => json<FreezeStatus>({ method: "GET", path: "/api/admin/freeze" }),
      /** Freezes for 1 to 600 seconds from now. Checks and revocations go on. */
      start: (seconds: number) =>
        json<FreezeStatus>({ method: "PUT", path: "/api/admin/freeze", body: { seconds } }),
      end: () => call({ method: "DELETE", path: "/api/admin/freeze" }),
    },
    limits: limitCalls(transport),
  };
}
