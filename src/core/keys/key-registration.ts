import type { Role } from "../policy/policy.ts";
import type { KeyBinding } from "./key-binding.ts";
import { bindingOf } from "./key-binding.ts";
import { firstKey } from "./key-lifecycle.ts";
import type { KeyRecord } from "./key-record.ts";
import type { Caller } from "./operator.ts";
import { mayGrant } from "./operator.ts";
import type { CommitRequirement, RememberedCall } from "./ports.ts";
import type { CallOrigin, DeniedOperation, Issued, Registry } from "./registry.ts";
import {
  auditEvent,
  commit,
  ensureDurable,
  issued,
  issueTime,
  issueTimeAfter,
  newKeyId,
  nowSeconds,
  refused,
  retryOnConflict,
} from "./registry.ts";

/** What a caller asks for; parsed, not yet permitted. */
export interface Registration extends KeyBinding {
  readonly role: string;
  readonly name: string;
  /** JSON text. */
  readonly metadata?: string;
  /** A part of the role's; absent: all of them. */
  readonly scopes?: readonly string[];
  /** At most the role's; absent: the role's. */
  readonly ttlSeconds?: number;
  /** Operators only. */
  readonly owner?: string;
  readonly idempotencyKey?: string;
}

const REMEMBER_OPERATOR_SECONDS = 86_400;
const REMEMBER_ANONYMOUS_SECONDS = 600;
/** An anonymous caller's `Idempotency-Key` is all that keeps others behind its address from its key. */
const MIN_ANONYMOUS_KEY_LENGTH = 22;

/** Registers a key: a new family. Nothing of role, owner or limits is taken from somebody who may not give it. */
export async function registerKey(
  registry: Registry,
  registration: Registration,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  const permitted = permit(registry, registration, origin.caller);
  if ("kind" in permitted) return permitted;
  const remember = rememberedAs(registry, registration, origin.caller);
  if (remember === "weak") return refused("idempotency_key_weak");
  let earliest = 0;
  return retryOnConflict(async () => {
    const now = nowSeconds(registry);
    const earlier = remember && (await recall(registry, remember, origin.caller));
    if (earlier !== undefined) return earlier;
    const record = newRecord(registry, registration, permitted, issueTime(registry, registration, earliest));
    const outcome = await commit(registry, {
      put: [record],
      requires: requirements(registry, record),
      ...(remember === undefined ? {} : { remember: { ...remember, keyId: record.keyId } }),
      audit: [auditEvent(registry, origin, "key_registered", record)],
    });
    if (outcome.kind === "committed") return issued(registry, record, false);
    if (outcome.kind === "full") return refused("too_many_keys");
    if (outcome.kind === "ended") earliest = issueTimeAfter(outcome.before, now);
    return "conflict";
  });
}

interface Permitted {
  readonly role: Role;
  readonly scopes: readonly string[];
  readonly selfService: boolean;
}

/** What the caller may have of what it asks for, or why not. */
export function permit(
  registry: Registry,
  registration: Registration,
  caller: Caller,
): Permitted | DeniedOperation {
  const policy = registry.policy();
  const role = policy.roles.get(registration.role);
  if (role === undefined) return refused("role_unknown");
  const scopes = [...new Set(registration.scopes ?? role.scopes)];
  if (!scopes.every((scope) => role.scopes.has(scope))) return refused("scope_unknown");
  if ((registration.ttlSeconds ?? 0) > role.ttlSeconds) return refused("ttl_too_long");
  if (mayGrant(caller, scopes, role, policy)) return { role, scopes, selfService: false };
  if (role.selfService && registration.owner === undefined) return { role, scopes, selfService: true };
  return refused(caller.kind === "anonymous" ? "operator_required" : "grant_refused");
}

function newRecord(
  registry: Registry,
  registration: Registration,
  permitted: Permitted,
  issuedAt: number,
): KeyRecord {
  const { name, metadata, owner, ttlSeconds } = registration;
  const grant = {
    ...permitted,
    name,
    ...(metadata === undefined ? {} : { metadata }),
    ...(owner === undefined ? {} : { owner }),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...bindingOf(registration),
  };
  const ids = {
    keyId: newKeyId(registry, permitted.role.name, issuedAt),
    family: `fam_${registry.newRandom()}`,
  };
  return firstKey(grant, ids, issuedAt);
}

/** What a new key needs: that nothing has ended it already, and that there may be one more of its kind. */
export function requirements(registry: Registry, record: KeyRecord): CommitRequirement {
  if (!record.selfService) return { living: record };
  const selfServiceBelow = registry.policy().guards.selfServiceKeysMax;
  return { living: record, selfServiceBelow, legacyEnded: registry.migration.state().phase === "removed" };
}

type Remembered = Omit<RememberedCall, "keyId">;

function rememberedAs(
  registry: Registry,
  registration: Registration,
  caller: Caller,
): Remembered | "weak" | undefined {
  const { idempotencyKey, ...asked } = registration;
  if (idempotencyKey === undefined) return undefined;
  const anonymous = caller.kind === "anonymous";
  if (anonymous && idempotencyKey.length < MIN_ANONYMOUS_KEY_LENGTH) return "weak";
  const who = anonymous ? `address ${caller.address}` : `${caller.kind} ${caller.id}`;
  const seconds = anonymous ? REMEMBER_ANONYMOUS_SECONDS : REMEMBER_OPERATOR_SECONDS;
  return {
    id: registry.digest(JSON.stringify(["register", who, idempotencyKey])),
    bodyDigest: registry.digest(JSON.stringify(Object.entries(asked).sort())),
    until: nowSeconds(registry) + seconds,
  };
}

/** The answer given before, minted anew from its record: the token itself was never kept. */
async function recall(
  registry: Registry,
  remember: Remembered,
  caller: Caller,
): Promise<Issued | DeniedOperation | undefined> {
  const known = await registry.store.recall(remember.id, nowSeconds(registry));
  if (known === undefined) return undefined;
  if (known.bodyDigest !== remember.bodyDigest) return refused("idempotency_key_reused");
  const record = await registry.store.load(known.keyId);
  if (record === undefined) return refused("key_unknown");
  // It is handed out once more: what the caller could grant then it must be able to grant now.
  if (!record.selfService && !mayGrantAgain(registry, record, caller)) return refused("grant_refused");
  await ensureDurable(registry);
  return issued(registry, record, true);
}

function mayGrantAgain(registry: Registry, { role: name, scopes }: KeyRecord, caller: Caller): boolean {
  const policy = registry.policy();
  const role = policy.roles.get(name);
  return role !== undefined && mayGrant(caller, scopes, role, policy);
}
