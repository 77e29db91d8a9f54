/** Times are milliseconds of this process's monotonic clock. An operation without a certain answer is acknowledged never. */
export interface Change {
  readonly what: string;
  readonly sentMs: number;
  ackedMs: number;
}

/** An operation that may have ended the key for good. */
export interface End extends Change {
  /** Whether it covers the key for certain. Otherwise it overlaps the key's registration. */
  isCertain: boolean;
}

/** One change of something that is on or off: whether a key is disabled, whether V1 keys are removed. Sent one after the other. */
export interface Switch extends Change {
  readonly denies: boolean;
}

/** What a history knows of one key. */
export interface KnownKey {
  readonly token: string;
  readonly keyId: string;
  readonly owner: string | undefined;
  readonly isLegacy: boolean;
  /** When its registration was sent and acknowledged. */
  readonly sentMs: number;
  readonly ackedMs: number;
  readonly ends: End[];
  readonly switches: Switch[];
  /** The store has lost its record: an opaque key is then unknown, and a JWT is not. */
  isRecordLost: boolean;
}

export type Expected = "allowed" | "denied" | "either";

/** The policy's `max_staleness`: an instance that has read nothing of the feed for so long denies every key. */
export const MAX_STALENESS_MS = 3000;
/**
 * A change that was acknowledged for so long holds at every instance that serves: what it has last read of the feed was sent at
 * most `MAX_STALENESS_MS` ago, so after the acknowledgement. The rest is for clocks of different processes.
 */
const BOUND_MS = MAX_STALENESS_MS + 200;

/**
 * What a request must get that was sent and answered at these times.
 * @param phases changes of the migration phase, which deny V1 keys or do not
 */
export function expectedOf(
  key: KnownKey,
  phases: readonly Switch[],
  sentMs: number,
  answeredMs: number,
): Expected {
  const switches = [key.switches, ...(key.isLegacy ? [phases] : [])].map((changes) =>
    settledBy(changes, sentMs, answeredMs),
  );
  const isEnded = key.ends.some((end) => end.isCertain && holds(end, sentMs));
  if (isEnded || switches.includes("denied")) return "denied";
  const mayBeEnded = key.ends.some((end) => end.sentMs <= answeredMs);
  const mayBeUnknown = key.isLegacy && key.isRecordLost;
  return mayBeEnded || mayBeUnknown || switches.includes("either") ? "either" : "allowed";
}

function holds(change: Change, sentMs: number): boolean {
  return change.ackedMs + BOUND_MS <= sentMs;
}

/** What the last switch says that holds for certain, unless a later one may hold already. */
function settledBy(changes: readonly Switch[], sentMs: number, answeredMs: number): Expected {
  const last = changes.findLastIndex((change) => holds(change, sentMs));
  if (changes.slice(last + 1).some((change) => change.sentMs <= answeredMs)) return "either";
  return changes[last]?.denies ? "denied" : "allowed";
}
