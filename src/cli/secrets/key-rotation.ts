/** A key of a JWK Set file, with what `latchkey secrets` notes beside it (RFC 3339). */
export interface KeyEntry {
  readonly kid: string;
  readonly alg: string;
  readonly kty: string;
  readonly added_at?: string;
  readonly signs_from?: string;
  /** When another one took its place. */
  readonly signed_until?: string;
  readonly [member: string]: unknown;
}

/** What a key is for at the moment: it signs, waits to sign, has signed, or can only verify. */
export type KeyState = "signs" | "waits" | "signed" | "verifies";

/** What a move makes of the keys. Each is a sentence for whoever rotates. */
export type RotationResult =
  | {
      readonly kind: "changed";
      readonly keys: readonly KeyEntry[];
      readonly kid: string;
      readonly message: string;
    }
  /** It had been done before. */
  | { readonly kind: "unchanged"; readonly kid?: string; readonly message: string }
  | { readonly kind: "refused"; readonly message: string; readonly retireAt?: string };

export interface Keys {
  readonly keys: readonly KeyEntry[];
  /** JWT_SECRET is set: then it signs, and the file's keys verify. */
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

/** A further key, which verifies. A second time nothing is added while one waits, unless `another` is wanted. */
export function addKey(known: Keys, entry: KeyEntry, another: boolean): RotationResult {
  const waiting = known.keys.filter((key) => stateOf(key, known) === "waits");
  const same = known.keys.find(({ kid }) => kid === entry.kid);
  const there = same ?? (another ? undefined : waiting[0]);
  if (there !== undefined)
    return {
      kind: "unchanged",
      kid: there.kid,
      message: `${there.kid} (${there.alg}) is there already and ${STATES[stateOf(there, known)]}; nothing is added`,
    };
  const keys = [...known.keys, { ...entry, added_at: timeOf(known.nowMs) }];
  const first = known.keys.length === 0 && !known.secretSigns;
  const next = first
    ? "as the only one it signs as soon as an instance has it"
    : "once every instance has the file, `latchkey secrets promote` makes it sign";
  return { kind: "changed", keys, kid: entry.kid, message: `${entry.kid} (${entry.alg}) is added; ${next}` };
}

/** Makes a key sign: the one that waits, or any that is named. */
export function promoteKey(known: Keys, kid: string | undefined): RotationResult {
  const waiting = known.keys.filter((key) => stateOf(key, known) === "waits");
  const signer = known.secretSigns ? undefined : known.keys[0];
  if (kid === undefined && waiting.length > 1)
    return { kind: "refused", message: `several wait: name one of ${kidsOf(waiting)}` };
  const chosen = kid === undefined ? waiting[0] : known.keys.find((key) => key.kid === kid);
  if (chosen === undefined && kid === undefined && signer !== undefined)
    return { kind: "unchanged", kid: signer.kid, message: `${signer.kid} signs, and none waits` };
  if (chosen === undefined)
    return {
      kind: "refused",
      message: `there is no key ${kid ?? "that waits"}: \`latchkey secrets add\` makes one`,
    };
  if (chosen === signer)
    return { kind: "unchanged", kid: chosen.kid, message: `${chosen.kid} signs already` };
  if (chosen === known.keys[0] && chosen.signs_from !== undefined)
    return { kind: "unchanged", kid: chosen.kid, message: `${chosen.kid} signs once there is no JWT_SECRET` };
  if (!canSign(chosen))
    return { kind: "refused", message: `${chosen.kid} has no private part: it cannot sign` };
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
  /** Any key that has signed, where none is named. */
  readonly kid?: string;
  /** The longest life of a key that was signed. */
  readonly longestTtlSeconds: number;
  /** When the last instance stopped signing with it, where that is later than noted, or not noted. */
  readonly sinceMs?: number;
  readonly force: boolean;
}

/** Takes a key away once no key that it signed can live any more. */
export function retireKey(known: Keys, retirement: Retirement): RotationResult {
  const { kid } = retirement;
  const former = known.keys.filter((key) => stateOf(key, known) === "signed");
  const oldest = former.toSorted((a, b) => endOf(a) - endOf(b))[0];
  const chosen = kid === undefined ? oldest : known.keys.find((key) => key.kid === kid);
  if (chosen === undefined)
    return {
      kind: "unchanged",
      message: `there is no key ${kid ?? "that has signed"}: nothing is to be retired`,
    };
  if (stateOf(chosen, known) === "signs")
    return { kind: "refused", message: `${chosen.kid} signs: promote another one first` };
  const refusal = tooEarly(chosen, retirement, known);
  if (refusal !== undefined) return refusal;
  const message = `${chosen.kid} is retired; keys that it signed are refused by every instance that has the file`;
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
  // What was added here and never promoted has signed nothing.
  const unused =
    chosen.signed_until === undefined && chosen.signs_from === undefined && chosen.added_at !== undefined;
  if (force || (unused && sinceMs === undefined)) return undefined;
  const endedMs = sinceMs ?? endOf(chosen);
  if (!Number.isFinite(endedMs))
    return {
      kind: "refused",
      message: `the file does not say until when ${chosen.kid} signed: --since TIME does, or --force takes it away all the same`,
    };
  return retiredTooEarly(chosen.kid, endedMs, longestTtlSeconds, known.nowMs);
}

/** The refusal while keys that were signed may live; it says until when. */
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
    message: `${kid} signed until ${timeOf(endedMs)}, and keys live up to ${formatRotation(longestTtlSeconds)}: retire it from ${retireAt} on (--force ends such keys now)`,
    retireAt,
  };
}

const STATES: Readonly<Record<KeyState, string>> = {
  signs: "signs",
  waits: "waits for its promotion",
  signed: "has signed",
  verifies: "verifies only",
};

function formatRotation(seconds: number): string {
  return seconds % 86_400 === 0 ? `${seconds / 86_400}d` : `${seconds}s`;
}

function endOf({ signed_until }: KeyEntry): number {
  return Date.parse(signed_until ?? "");
}

function kidsOf(keys: readonly KeyEntry[]): string {
  return keys.map(({ kid }) => kid).join(", ");
}

/** In whole seconds, and never too early. */
function timeOf(ms: number): string {
  return `${new Date(Math.ceil(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}
