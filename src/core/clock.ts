/** A smaller difference is no jump: NTP slews the clock, or a reply was slow. */
const TOLERANCE_MS = 2000;
/** A jump is accepted after the clock has kept its new time for this long, by monotonic time. */
const HOLD_MS = 60_000;
/** A smaller jump of the store's clock is accepted at once, so that the keys of a new primary are valid from the first one on. */
const FOLLOW_STORE_MS = 300_000;
/** Nothing is forgotten for this long after a jump, by monotonic time. */
const DOUBT_MS = 3_600_000;
/** Everything is kept this much longer than necessary. */
export const FORGET_MARGIN_MS = 3_600_000;

/** This machine's wall clock, or the clock of Redis. */
export type ClockName = "wall" | "store";

export interface ClockPorts {
  /** Whether there is a shared store with its own clock. */
  readonly shared: boolean;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /** Called once for each jump, with its size in milliseconds (negative: backward). */
  readonly onJump: (clock: ClockName, byMs: number) => void;
}

/**
 * The time of an instance, for expiry and for dates. The store's clock is the clock of the whole fleet, and monotonic time
 * continues it between two readings. Without a shared store it is the wall clock, whose jumps are accepted late. All times are
 * whole milliseconds since 1970.
 */
export interface Clock {
  /** The time for expiry. It is the wall clock's before the store's time is known, and after a forward jump until the next reading. */
  nowMs(): number;
  /** The time for the dates of changes: the store's clock, by its last reading. */
  storeNowMs(): number;
  /** What expired before this time may be forgotten. Undefined if a clock has jumped within the last hour. */
  forgetBeforeMs(): number | undefined;
  /**
   * Applies a reading of the store's clock. Does nothing without a shared store.
   * @param sentMs the monotonic time at which the request was sent
   */
  applyStoreTime(storeNowMs: number, sentMs?: number): void;
  /** Call it after a start at an unconfirmed time: nothing is forgotten for an hour. */
  doubt(): void;
}

export function createClock(ports: ClockPorts): Clock {
  const { monotonicMs } = ports;
  const wall = createWall(ports, () => doubt());
  const store = createSteady(FOLLOW_STORE_MS);
  let doubtUntilMs = Number.NEGATIVE_INFINITY;
  let storeReadMs: number | undefined;
  /** The store's time as it was read, including jumps. */
  let storeOffsetMs = 0;
  const doubt = () => {
    doubtUntilMs = monotonicMs() + DOUBT_MS;
  };
  return {
    doubt,
    nowMs() {
      const { atMs, nowMs, steadyMs } = wall.read();
      if (storeReadMs === undefined) return Math.floor(Math.max(nowMs, steadyMs));
      const storeMs = atMs + store.offsetMs();
      // After a sleep of the machine only the wall clock shows the passed time, until the store responds.
      return Math.floor(storeReadMs > wall.jumpedAtMs() ? storeMs : Math.max(nowMs, storeMs));
    },
    storeNowMs() {
      const { atMs, steadyMs } = wall.read();
      return Math.floor(storeReadMs === undefined ? steadyMs : atMs + storeOffsetMs);
    },
    forgetBeforeMs() {
      const { atMs, nowMs, steadyMs } = wall.read();
      if (atMs < doubtUntilMs) return undefined;
      const storeMs = storeReadMs === undefined ? steadyMs : atMs + Math.min(store.offsetMs(), storeOffsetMs);
      return Math.floor(Math.min(nowMs, steadyMs, storeMs)) - FORGET_MARGIN_MS;
    },
    applyStoreTime(storeNowMs, sentMs) {
      if (!ports.shared) return;
      const { atMs, nowMs } = wall.read();
      storeOffsetMs = storeNowMs - (atMs + (sentMs ?? atMs)) / 2;
      // If both clocks agree after a sleep, both are right.
      const confirmed = Math.abs(storeOffsetMs + atMs - nowMs) <= TOLERANCE_MS;
      const by = store.read(storeOffsetMs, atMs, confirmed);
      storeReadMs = atMs;
      if (by === 0) return;
      doubt();
      ports.onJump("store", by);
    },
  };
}

/** The wall clock. Each reading detects a jump. */
function createWall({ wallMs, monotonicMs, onJump }: ClockPorts, doubt: () => void) {
  const steady = createSteady();
  let jumpedAtMs = Number.NEGATIVE_INFINITY;
  return {
    jumpedAtMs: () => jumpedAtMs,
    read() {
      const atMs = monotonicMs();
      const nowMs = wallMs();
      const by = steady.read(nowMs - atMs, atMs);
      if (by !== 0) {
        jumpedAtMs = atMs;
        doubt();
        onJump("wall", by);
      }
      return { atMs, nowMs, steadyMs: atMs + steady.offsetMs() };
    },
  };
}

/** A clock as an offset from monotonic time. A jump of more than `followMs` changes the offset only if it lasts. */
function createSteady(followMs = 0) {
  let acceptedOffsetMs: number | undefined;
  let jump: { readonly offsetMs: number; readonly sinceMs: number } | undefined;
  return {
    offsetMs: () => acceptedOffsetMs ?? 0,
    /** Applies a reading. Returns the size of a newly detected jump, else 0. */
    read(offsetMs: number, atMs: number, confirmed = false): number {
      if (
        acceptedOffsetMs === undefined ||
        confirmed ||
        Math.abs(offsetMs - acceptedOffsetMs) <= TOLERANCE_MS
      ) {
        acceptedOffsetMs = offsetMs;
        jump = undefined;
        return 0;
      }
      const by = offsetMs - acceptedOffsetMs;
      if (Math.abs(by) <= followMs) {
        acceptedOffsetMs = offsetMs;
        jump = undefined;
        return by;
      }
      if (jump === undefined || Math.abs(offsetMs - jump.offsetMs) > TOLERANCE_MS) {
        jump = { offsetMs, sinceMs: atMs };
        return by;
      }
      if (atMs - jump.sinceMs >= HOLD_MS) {
        acceptedOffsetMs = offsetMs;
        jump = undefined;
      }
      return 0;
    },
  };
}
