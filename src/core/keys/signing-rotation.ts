/** The times that `latchkey secrets` writes into a file of keys: milliseconds since 1970. */
export interface KeyDates {
  readonly addedAtMs?: number;
  readonly signsFromMs?: number;
  /** When another key became the signing key. */
  readonly signedUntilMs?: number;
}

/** What may be shown of a signing key. */
export interface KeyFacts extends KeyDates {
  readonly kid: string;
  readonly alg: string;
  readonly canSign: boolean;
}

/** Where a key comes from. `generated`: a secret that the store keeps, because no setting names one. */
export const KEY_ORIGINS = ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "JWT_KEYS_FILE", "generated"] as const;
export type KeyOrigin = (typeof KEY_ORIGINS)[number];

/**
 * What a key does: it signs, waits for promotion, signed formerly, or verifies. `verifies` is also a secret of which nothing
 * records whether it is the next or a former one.
 */
export const KEY_STATES = ["signs", "waits", "signed", "verifies"] as const;
export type KeyState = (typeof KEY_STATES)[number];

export interface KeyInUse extends KeyFacts {
  readonly origin: KeyOrigin;
}

/** What the steps of a rotation depend on. */
export interface RotationFacts {
  /** The signing key comes first. */
  readonly keys: readonly KeyInUse[];
  /** When each key was added, or first seen: milliseconds since 1970, by `kid`. */
  readonly addedAtMs: ReadonlyMap<string, number>;
  /** The keys that each instance accepts. The first one signs. */
  readonly instances: readonly (readonly string[])[];
  /** The longest lifetime of a key of the policy. */
  readonly longestTtlSeconds: number;
  readonly nowMs: number;
}

export interface RotatingKey {
  readonly key: KeyInUse;
  readonly state: KeyState;
  readonly addedAtMs: number | undefined;
  /** When all API keys that it signed have expired; undefined if it is not known when it stopped signing. */
  readonly retireAtMs: number | undefined;
  /** Instances that accept it. */
  readonly acceptedBy: number;
  /** Instances that sign with it. */
  readonly signedBy: number;
}

/** Why a step has to wait: for instances, for API keys to expire, for the time to be stated, or for a setting. */
export const STEP_WAITS = ["instances", "expiry", "unknown_end", "setting"] as const;

/** The next of the three steps of a rotation. */
export interface NextStep {
  readonly step: "add" | "promote" | "retire";
  /** Undefined for `add`. */
  readonly kid: string | undefined;
  /** Undefined if the step can be taken now. */
  readonly waitsFor: (typeof STEP_WAITS)[number] | undefined;
  /** When `expiry` ends. */
  readonly notBeforeMs: number | undefined;
}

export interface Rotation {
  readonly keys: readonly RotatingKey[];
  readonly next: NextStep;
}

/** Two secrets that were first seen within this time came together, so their order says nothing. */
const SEEN_TOGETHER_MS = 60_000;

/** The state of each key, and the next step of the rotation. Every instance must have one step before the next one. */
export function rotationOf(facts: RotationFacts): Rotation {
  const keys = facts.keys.map((key, index) => describeKey(key, index, facts));
  return { keys, next: nextStep(keys, facts) };
}

function describeKey(key: KeyInUse, index: number, facts: RotationFacts): RotatingKey {
  const { addedAtMs, instances, longestTtlSeconds } = facts;
  const { kid, signedUntilMs } = key;
  const state = stateOf(key, index, facts);
  const ended = state === "signed" ? signedUntilMs : undefined;
  return {
    key,
    state,
    addedAtMs: addedAtMs.get(kid),
    retireAtMs: ended === undefined ? undefined : ended + longestTtlSeconds * 1000,
    acceptedBy: instances.filter((kids) => kids.includes(kid)).length,
    signedBy: instances.filter(([signer]) => signer === kid).length,
  };
}

function stateOf(key: KeyInUse, index: number, { keys, addedAtMs }: RotationFacts): KeyState {
  if (index === 0) return "signs";
  if (!key.canSign) return "verifies";
  if (key.origin === "JWT_KEYS_FILE") return key.signedUntilMs === undefined ? "waits" : "signed";
  const [signer] = keys;
  const [added, signerAdded] = [addedAtMs.get(key.kid), addedAtMs.get(signer?.kid ?? "")];
  if (added === undefined || signerAdded === undefined) return "verifies";
  if (Math.abs(added - signerAdded) < SEEN_TOGETHER_MS) return "verifies";
  return added > signerAdded ? "waits" : "signed";
}

function nextStep(keys: readonly RotatingKey[], facts: RotationFacts): NextStep {
  const waiting = keys.find(({ state }) => state === "waits");
  if (waiting !== undefined) {
    const isEverywhere = waiting.acceptedBy === facts.instances.length;
    return step("promote", waiting, isEverywhere ? undefined : "instances");
  }
  const [former] = keys
    .filter(({ state }) => state === "signed")
    .toSorted((a, b) => (a.retireAtMs ?? 0) - (b.retireAtMs ?? 0));
  if (former === undefined) return step("add", undefined, isGenerated(keys) ? "setting" : undefined);
  if (former.signedBy > 0) return step("retire", former, "instances");
  if (former.retireAtMs === undefined) return step("retire", former, "unknown_end");
  return step("retire", former, facts.nowMs < former.retireAtMs ? "expiry" : undefined);
}

function step(
  name: NextStep["step"],
  about: RotatingKey | undefined,
  waitsFor: NextStep["waitsFor"],
): NextStep {
  const notBeforeMs = waitsFor === "expiry" ? about?.retireAtMs : undefined;
  return { step: name, kid: about?.key.kid, waitsFor, notBeforeMs };
}

function isGenerated([signer]: readonly RotatingKey[]): boolean {
  return signer?.key.origin === "generated";
}
