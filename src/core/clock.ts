/** Readings that differ by no more belong to one clock that is slewed: NTP, a reply that was slow. Milliseconds. */
const TOLERANCE_MS = 2000;
/** A clock that has jumped is believed once it has kept its new time for so long, by monotonic time. */
const HOLD_MS = 60_000;
/** A store's clock that jumps by no more is followed at once: a new primary is dated by, and its keys are good, from the first one on. */
const FOLLOW_STORE_MS = 300_000;
/** So long after a jump nothing is forgotten, by monotonic time. */
const DOUBT_MS = 3_600_000;
/** Everything is kept so much longer than it is needed. */
export const FORGET_MARGIN_MS = 3_600_000;

/** Which clock has jumped: this machine's wall clock, or the one of Redis. */
export type ClockName = "wall" | "store";

export interface ClockPorts {
  /** Whether there is a store with a clock of its own. */
  readonly shared: boolean;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /** Called once for each jump, with its size in milliseconds (negative: back). */
  readonly jumped: (clock: ClockName, byMs: number) => void;
}

/**
 * The time by which an instance judges and dates. The store's clock is the one clock of a fleet; between two readings of it
 * the instance goes on by monotonic time. Without such a store it is the wall clock, and a jump of it is followed late.
 * All times are whole milliseconds since 1970.
 */
export interface Clock {
  /** By this expiry is judged. The wall clock counts before the store's is known, and while it has just jumped ahead. */
  nowMs(): number;
  /** By this changes are dated: the store's own clock, as it was read last. */
  storeNowMs(): number;
  /** What ended before this time may be forgotten. Undefined while a clock has jumped within the last hour. */
  forgetBeforeMs(): number | undefined;
  /** The store's clock said so in an answer to what was sent then (monotonic). Nothing where there is no such store. */
  heard(storeNowMs: number, sentMs?: number): void;
  /** The process starts after a time that nothing vouches for: until the clock has proved itself, nothing is forgotten. */
  doubt(): void;
}

export function createClock(ports: ClockPorts): Clock {
  const { monotonicMs } = ports;
  const wall = createWall(ports, () => doubt());
  const store = createSteady(FOLLOW_STORE_MS);
  let doubtUntilMs = Number.NEGATIVE_INFINITY;
  let storeReadMs: number | undefined;
  /** The store's own time, jumps and all. */
  let storeOffsetMs = 0;
  const doubt = () => {
    doubtUntilMs = monotonicMs() + DOUBT_MS;
  };
  return {
    doubt,
    nowMs() {
      const { atMs, nowMs, steadyMs } = wall.look();
      if (storeReadMs === undefined) return Math.floor(Math.max(nowMs, steadyMs));
      const storeMs = atMs + store.offsetMs();
      // A machine that slept has no other sign of it until the store is asked: what has expired then stays so.
      return Math.floor(storeReadMs > wall.jumpedAtMs() ? storeMs : Math.max(nowMs, storeMs));
    },
    storeNowMs() {
      const { atMs, steadyMs } = wall.look();
      return Math.floor(storeReadMs === undefined ? steadyMs : atMs + storeOffsetMs);
    },
    forgetBeforeMs() {
      const { atMs, nowMs, steadyMs } = wall.look();
      if (atMs < doubtUntilMs) return undefined;
      const storeMs = storeReadMs === undefined ? steadyMs : atMs + Math.min(store.offsetMs(), storeOffsetMs);
      return Math.floor(Math.min(nowMs, steadyMs, storeMs)) - FORGET_MARGIN_MS;
    },
    heard(storeNowMs, sentMs) {
      if (!ports.shared) return;
      const { atMs, nowMs } = wall.look();
      storeOffsetMs = storeNowMs - (atMs + (sentMs ?? atMs)) / 2;
      // Two clocks that say the same after a sleep are right.
      const vouched = Math.abs(storeOffsetMs + atMs - nowMs) <= TOLERANCE_MS;
      const by = store.read(storeOffsetMs, atMs, vouched);
      storeReadMs = atMs;
      if (by === 0) return;
      doubt();
      ports.jumped("store", by);
    },
  };
}

/** The wall clock; each look at it is a look for a jump. */
function createWall({ wallMs, monotonicMs, jumped }: ClockPorts, doubt: () => void) {
  const steady = createSteady();
  let jumpedAtMs = Number.NEGATIVE_INFINITY;
  return {
    jumpedAtMs: () => jumpedAtMs,
    look() {
      const atMs = monotonicMs();
      const nowMs = wallMs();
      const by = steady.read(nowMs - atMs, atMs);
      if (by !== 0) {
        jumpedAtMs = atMs;
        doubt();
        jumped("wall", by);
      }
      return { atMs, nowMs, steadyMs: atMs + steady.offsetMs() };
    },
  };
}

/** A clock as its distance from monotonic time, which a jump of more than `followMs` changes only when it lasts. */
function createSteady(followMs = 0) {
  let agreed: number | undefined;
  let jump: { readonly offsetMs: number; readonly sinceMs: number } | undefined;
  return {
    offsetMs: () => agreed ?? 0,
    /** Takes in a reading. Gives the size of a jump that it shows first, else 0. */
    read(offsetMs: number, atMs: number, vouched = false): number {
      if (agreed === undefined || vouched || Math.abs(offsetMs - agreed) <= TOLERANCE_MS) {
        agreed = offsetMs;
        jump = undefined;
        return 0;
      }
      const by = offsetMs - agreed;
      if (Math.abs(by) <= followMs) {
        agreed = offsetMs;
        jump = undefined;
        return by;
      }
      if (jump === undefined || Math.abs(offsetMs - jump.offsetMs) > TOLERANCE_MS) {
        jump = { offsetMs, sinceMs: atMs };
        return by;
      }
      if (atMs - jump.sinceMs >= HOLD_MS) {
        agreed = offsetMs;
        jump = undefined;
      }
      return 0;
    },
  };
}
