/** A key of a JWK Set file, with the times that `latchkey secrets` records (RFC 3339). */
export interface KeyEntry {
  readonly kid: string;
  readonly alg: string;
  readonly kty: string;
  readonly added_at?: string;
  readonly signs_from?: string;
  /** When another key became the signing key. */
  readonly signed_until?: string;
  readonly [member: string]: unknown;
}

/** The present role of a key: it signs, waits for promotion, signed formerly, or can only verify. */
export type KeyState = "signs" | "waits" | "signed" | "verifies";

/** The result of one step of a rotation, with a message for the operator. */
export type RotationResult =
  | {
      readonly kind: "changed";
      readonly keys: readonly KeyEntry[];
      readonly kid: string;
      readonly message: string;
    }
  /** The step had been done before. */
  | { readonly kind: "unchanged"; readonly kid?: string; readonly message: string }
  | { readonly kind: "refused"; readonly message: string; readonly retireAt?: string };

export interface Keys {
  readonly keys: readonly KeyEntry[];
  /** Whether JWT_SECRET is set. If so, it signs, and the keys of the file only verify. */
  readonly secretSigns: boolean;
  readonly nowMs: number;
}

export function stateOf(entry: KeyEntry, { keys, secretSigns }: Keys): KeyState {
  if (entry === keys[0] && !secretSigns) return "signs";
  if (!canSign(entry)) return "verifies";
  return entry.signed_until === undefined ? "waits" : "signed";
}

function canSign(entry: KeyEntry): boolean {
  return entry["d"] !== undefined || entry.kty === "oct";
}

/** Adds a key that verifies. Adds none while another key waits for promotion, unless `another` is set. */
export function addKey(known: Keys, entry: KeyEntry, another: boolean): RotationResult {
  const waiting = known.keys.filter((key) => stateOf(key, known) === "waits");
  const sameKid = known.keys.find(({ kid }) => kid === entry.kid);
  const existing = sameKid ?? (another ? undefined : waiting[0]);
  if (existing !== undefined)
    return {
      kind: "unchanged",
      kid: existing.kid,
      message: `${existing.kid} (${existing.alg}) already exists and ${STATES[stateOf(existing, known)]}; no key was added`,
    };
  const keys = [...known.keys, { ...entry, added_at: timeOf(known.nowMs) }];
  const isOnly = known.keys.length === 0 && !known.secretSigns;
  const next = isOnly
    ? "it is the only key, so an instance signs with it as soon as the instance has the file"
    : "once every instance has the file, run `latchkey secrets promote` to sign with it";
  return { kind: "changed", keys, kid: entry.kid, message: `${entry.kid} (${entry.alg}) was added; ${next}` };
}

/** Makes a key the signing key: the named one, or the one that waits for promotion. */
export function promoteKey(known: Keys, kid: string | undefined): RotationResult {
  const waiting = known.keys.filter((key) => stateOf(key, known) === "waits");
  const signer = known.secretSigns ? undefined : known.keys[0];
  if (kid === undefined && waiting.length > 1)
    return {
      kind: "refused",
      message: `several keys wait for promotion: name one of ${waiting.map((key) => key.kid).join(", ")}`,
    };
  const chosen = kid === undefined ? waiting[0] : known.keys.find((key) => key.kid === kid);
  if (chosen === undefined && kid === undefined && signer !== undefined)
    return {
      kind: "unchanged",
      kid: signer.kid,
      message: `${signer.kid} signs, and no key waits for promotion`,
    };
  if (chosen === undefined) {
    const missing = kid === undefined ? "no key waits for promotion" : `no key has the kid ${kid}`;
    return { kind: "refused", message: `${missing}: add a key with \`latchkey secrets add\`` };
  }
  if (chosen === signer)
    return { kind: "unchanged", kid: chosen.kid, message: `${chosen.kid} already signs` };
  if (chosen === known.keys[0] && chosen.signs_from !== undefined)
    return {
      kind: "unchanged",
      kid: chosen.kid,
      message: `${chosen.kid} signs as soon as JWT_SECRET is unset`,
    };
  if (!canSign(chosen))
    return { kind: "refused", message: `${chosen.kid} has no private part, so it cannot sign` };
  return withSigner(known, chosen, signer);
}

function withSigner(known: Keys, chosen: KeyEntry, signer: KeyEntry | undefined): RotationResult {
  const now = timeOf(known.nowMs);
  const { signed_until: _, ...rest } = chosen;
  const others = known.keys
    .filter((key) => key !== chosen)
    .map((key) => (key === signer ? { ...key, signed_until: now } : key));
  const message = `${chosen.kid} signs on every instance that has the file${known.secretSigns ? " and no JWT_SECRET" : ""}`;
  return {
    kind: "changed",
    keys: [{ ...rest, signs_from: now }, ...others],
    kid: chosen.kid,
    message,
  };
}

export interface Retirement {
  /** By default, the former signing key that stopped signing first. */
  readonly kid?: string;
  /** The longest lifetime of the API keys that it may have signed. */
  readonly longestTtlSeconds: number;
  /** When the last instance stopped signing with it, if that time is not recorded or is later than recorded. */
  readonly sinceMs?: number;
  readonly force: boolean;
}

/** Removes a signing key once every API key that it signed has expired. */
export function retireKey(known: Keys, retirement: Retirement): RotationResult {
  const { kid } = retirement;
  const former = known.keys.filter((key) => stateOf(key, known) === "signed");
  const oldest = former.toSorted((a, b) => endOf(a) - endOf(b))[0];
  const chosen = kid === undefined ? oldest : known.keys.find((key) => key.kid === kid);
  if (chosen === undefined) {
    const missing = kid === undefined ? "no key has signed formerly" : `no key has the kid ${kid}`;
    return { kind: "unchanged", message: `${missing}: there is nothing to retire` };
  }
  if (stateOf(chosen, known) === "signs")
    return { kind: "refused", message: `${chosen.kid} signs: promote another key before you retire it` };
  const early = tooEarly(chosen, retirement, known);
  if (early !== undefined) return early;
  const message = `${chosen.kid} was retired; every instance that has the file denies the API keys that it signed`;
  return {
    kind: "changed",
    keys: known.keys.filter((key) => key !== chosen),
    kid: chosen.kid,
    message,
  };
}

function tooEarly(
  chosen: KeyEntry,
  { sinceMs, longestTtlSeconds, force }: Retirement,
  known: Keys,
): RotationResult | undefined {
  // A key that was added here and never promoted has signed nothing.
  const unused =
    chosen.signed_until === undefined && chosen.signs_from === undefined && chosen.added_at !== undefined;
  if (force || (unused && sinceMs === undefined)) return undefined;
  const endedMs = sinceMs ?? endOf(chosen);
  if (!Number.isFinite(endedMs))
    return {
      kind: "refused",
      message: `the file does not record when ${chosen.kid} stopped signing: give --since TIME, or --force to retire it anyway`,
    };
  return retiredTooEarly(chosen.kid, endedMs, longestTtlSeconds, known.nowMs);
}

/** The result of a retirement while API keys that the key signed may be valid, with the time from which it is possible. */
export function retiredTooEarly(
  kid: string,
  endedMs: number,
  longestTtlSeconds: number,
  nowMs: number,
): Extract<RotationResult, { kind: "refused" }> | undefined {
  const dueMs = endedMs + longestTtlSeconds * 1000;
  if (nowMs >= dueMs) return undefined;
  const retireAt = timeOf(dueMs);
  return {
    kind: "refused",
    message: `${kid} signed until ${timeOf(endedMs)}, and keys live up to ${formatSeconds(longestTtlSeconds)}: retire it at ${retireAt} or later (--force invalidates those keys now)`,
    retireAt,
  };
}

const STATES: Readonly<Record<KeyState, string>> = {
  signs: "signs",
  waits: "waits for promotion",
  signed: "signed formerly",
  verifies: "can only verify",
};

function formatSeconds(seconds: number): string {
  return seconds % 86_400 === 0 ? `${seconds / 86_400}d` : `${seconds}s`;
}

function endOf({ signed_until }: KeyEntry): number {
  return Date.parse(signed_until ?? "");
}

/** RFC 3339 in whole seconds, rounded up so that a retirement is never too early. */
function timeOf(ms: number): string {
  return `${new Date(Math.ceil(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}
