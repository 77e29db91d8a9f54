import { ensureDurable } from "./commit.ts";
import type { Issued, SigningDeps } from "./issued-key.ts";
import { issueKey } from "./issued-key.ts";
import type { KeyBinding } from "./key-binding.ts";
import { bindingOf } from "./key-binding.ts";
import type { RememberedCall } from "./key-change.ts";
import type { DateDeps } from "./key-dates.ts";
import { newKeyId, nowSeconds } from "./key-dates.ts";
import { firstKey } from "./key-lifecycle.ts";
import type { KeyRecord } from "./key-record.ts";
import type { GrantRequest, NewKeyDeps, PermittedGrant, PolicyDeps } from "./new-key.ts";
import { commitNewKey, permitGrant } from "./new-key.ts";
import type { CallOrigin } from "./operation-audit.ts";
import type { Caller } from "./operator.ts";
import { mayGrant } from "./operator.ts";
import type { KeyReader, KeyWriter, RememberedCallReader } from "./ports.ts";
import type { DeniedOperation } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

/** The request of a caller: parsed, not yet permitted. */
export interface Registration extends KeyBinding, GrantRequest {
  readonly name: string;
  /** JSON text. */
  readonly metadata?: string;
  readonly idempotencyKey?: string;
}

interface DigestDeps {
  /** SHA-256, for texts that are compared but must not be stored. */
  readonly digest: (text: string) => string;
}

type RecallDeps = SigningDeps &
  PolicyDeps &
  DateDeps & { readonly store: KeyReader & RememberedCallReader & Pick<KeyWriter, "confirm"> };

export type RegistrationDeps = NewKeyDeps & RecallDeps & DigestDeps;

const REMEMBER_OPERATOR_SECONDS = 86_400;
const REMEMBER_ANONYMOUS_SECONDS = 600;
/** The `Idempotency-Key` of an anonymous caller is all that protects its key from other clients behind its address. */
const MIN_ANONYMOUS_KEY_LENGTH = 22;

/** Registers a key: a new family. Denies a role, an owner, a plan or a life that the caller may not grant. */
export async function registerKey(
  deps: RegistrationDeps,
  registration: Registration,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  const permitted = permitGrant(deps, registration, origin.caller);
  if ("kind" in permitted) return permitted;
  const remember = rememberedAs(deps, registration, origin.caller);
  if (remember === "weak") return denied("idempotency_key_weak");
  return commitNewKey<Issued | DeniedOperation>(
    deps,
    {
      subject: registration,
      event: "key_registered",
      record: (issuedAt) => newRecord(deps, registration, permitted, issuedAt),
      ...(remember !== undefined && {
        remember,
        earlier: () => recall(deps, remember, origin.caller),
      }),
      result: (record) => issueKey(deps, record, { replayed: false }),
    },
    origin,
  );
}

function newRecord(
  deps: NewKeyDeps,
  registration: Registration,
  permitted: PermittedGrant,
  issuedAt: number,
): KeyRecord {
  const { name, metadata, owner, plan, ttlSeconds } = registration;
  const grant = {
    ...permitted,
    name,
    ...(metadata === undefined ? {} : { metadata }),
    ...(owner === undefined ? {} : { owner }),
    ...(plan === undefined ? {} : { plan }),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...bindingOf(registration),
  };
  const ids = {
    keyId: newKeyId(deps, permitted.role.name, issuedAt),
    family: `fam_${deps.newRandom()}`,
  };
  return firstKey(grant, ids, issuedAt);
}

type CallToRemember = Omit<RememberedCall, "keyId">;

function rememberedAs(
  deps: DateDeps & DigestDeps,
  registration: Registration,
  caller: Caller,
): CallToRemember | "weak" | undefined {
  const { idempotencyKey, ...request } = registration;
  if (idempotencyKey === undefined) return undefined;
  const anonymous = caller.kind === "anonymous";
  if (anonymous && idempotencyKey.length < MIN_ANONYMOUS_KEY_LENGTH) return "weak";
  const callerId = anonymous ? `address ${caller.address}` : `${caller.kind} ${caller.id}`;
  const seconds = anonymous ? REMEMBER_ANONYMOUS_SECONDS : REMEMBER_OPERATOR_SECONDS;
  return {
    id: deps.digest(JSON.stringify(["register", callerId, idempotencyKey])),
    bodyDigest: deps.digest(JSON.stringify(Object.entries(request).sort())),
    until: nowSeconds(deps) + seconds,
  };
}

/** Signs the key of an earlier call again from its record, because tokens are never stored. */
async function recall(
  deps: RecallDeps,
  remember: CallToRemember,
  caller: Caller,
): Promise<Issued | DeniedOperation | undefined> {
  const known = await deps.store.recall(remember.id, nowSeconds(deps));
  if (known === undefined) return undefined;
  if (known.bodyDigest !== remember.bodyDigest) return denied("idempotency_key_reused");
  const record = await deps.store.load(known.keyId);
  if (record === undefined) return denied("key_unknown");
  // The caller receives the key once more, so it must still be able to grant it.
  if (!record.selfService && !mayStillGrant(deps, record, caller)) return denied("grant_refused");
  await ensureDurable(deps, [record]);
  return issueKey(deps, record, { replayed: true });
}

function mayStillGrant(deps: PolicyDeps, { role: name, scopes }: KeyRecord, caller: Caller): boolean {
  const policy = deps.policy();
  const role = policy.roles.get(name);
  return role !== undefined && mayGrant(caller, scopes, role, policy);
}
