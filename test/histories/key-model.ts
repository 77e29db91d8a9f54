/**
 * Times are milliseconds of this process's monotonic clock. An operation without a certain response is never
 * acknowledged.
 */
export interface Change {
  readonly what: string;
  readonly sentMs: number;
  ackedMs: number;
  /** The client has given up waiting: an instance may still carry it out, at any later time. */
  isOpen?: true;
}

/** An operation that may have ended the key permanently. */
export interface End extends Change {
  /** True if it certainly covers the key. Otherwise it overlaps the key's registration. */
  isCertain: boolean;
}

/**
 * One change of a switch: whether a key is disabled, or whether V1 keys are removed. Changes are sent one after
 * the other.
 */
export interface Switch extends Change {
  readonly denies: boolean;
}

/** What a history knows about one key. */
export interface KnownKey {
  readonly token: string;
  readonly keyId: string;
  readonly owner: string | undefined;
  readonly isLegacy: boolean;
  /** The times at which its registration was sent and acknowledged. */
  readonly sentMs: number;
  readonly ackedMs: number;
  readonly ends: End[];
  readonly switches: Switch[];
  /** The store has lost its record: an opaque key is then unknown, and a JWT is not. */
  isRecordLost: boolean;
}

export type Expected = "allowed" | "denied" | "either";

/** The policy's `max_staleness`: an instance that has not read the feed for this long denies every key. */
export const MAX_STALENESS_MS = 3000;
/**
 * A change acknowledged this long ago is in effect at every instance that serves: its last read of the feed was
 * sent at most `MAX_STALENESS_MS` ago, so after the acknowledgement. The rest is for clocks of different
 * processes.
 */
const BOUND_MS = MAX_STALENESS_MS + 200;

/** When a request was sent and answered, and for how long an instance may still read a primary that was replaced. */
export interface Moment {
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly splitMs?: number;
}

/**
 * The required response for a request at this moment.
 * @param phases changes of the migration phase, which may deny V1 keys
 */
export function expectedOf(
  key: KnownKey,
  phases: readonly Switch[],
  { sentMs, answeredMs, splitMs = 0 }: Moment,
): Expected {
  const beforeMs = sentMs - BOUND_MS - splitMs;
  const switches = [key.switches, ...(key.isLegacy ? [phases] : [])].map((changes) =>
    settledBy(changes, beforeMs, answeredMs),
  );
  const isEnded = key.ends.some((end) => end.isCertain && end.ackedMs <= beforeMs);
  if (isEnded || switches.includes("denied")) return "denied";
  const mayBeEnded = key.ends.some((end) => end.sentMs <= answeredMs);
  const mayBeUnknown = key.isLegacy && (key.isRecordLost || (splitMs > 0 && key.ackedMs > beforeMs));
  return mayBeEnded || mayBeUnknown || switches.includes("either") ? "either" : "allowed";
}

/** The state of the last certain switch, unless a later or an open one may be in effect already. */
function settledBy(changes: readonly Switch[], beforeMs: number, answeredMs: number): Expected {
  const last = changes.findLastIndex(({ ackedMs }) => ackedMs <= beforeMs);
  const mayApply = changes.filter(({ isOpen }, at) => at > last || isOpen);
  if (mayApply.some((change) => change.sentMs <= answeredMs)) return "either";
  return changes[last]?.denies ? "denied" : "allowed";
}
