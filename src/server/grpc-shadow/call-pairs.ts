/**
 * Sweeps after which a call that only one server has received is late. Longer than any decision takes. Sweeps are counted, not
 * seconds, because a process that was paused must not judge at once what it has not read yet.
 */
export const SWEEPS_TO_MATCH = 30;

/** A call that only one of the two servers has received so far. */
export interface Unmatched<Ours, Theirs> {
  readonly ours?: Ours;
  readonly theirs?: Theirs;
}

/** Pairs the calls of two servers by their content. Calls with equal content are interchangeable. */
export interface CallPairs<Ours, Theirs> {
  /**
   * The call of the other server with this content. If there is none, this one waits for it.
   * @param position the bytes that the other server must have taken before it can have this call
   */
  pairOurs(key: string, call: Ours, position: number): Theirs | undefined;
  pairTheirs(key: string, call: Theirs): Ours | undefined;
  /** Calls that wait. */
  size(): number;
  /**
   * Called once a second. Returns the calls that have waited too long, and forgets them.
   * @param taken the position of the other server
   */
  takeLate(taken: number): readonly Unmatched<Ours, Theirs>[];
  /** Calls of our server that the other one could have delivered at this position. */
  undelivered(taken: number): number;
  /** Returns the calls that wait, and forgets them. */
  takeAll(): readonly Unmatched<Ours, Theirs>[];
}

export function createCallPairs<Ours, Theirs>(): CallPairs<Ours, Theirs> {
  type Waiting = Unmatched<Ours, Theirs> & { readonly position: number; sweeps: number };
  /** In the order of their arrival. All calls of one list are of one server. */
  const waiting = new Map<string, Waiting[]>();
  let size = 0;
  const wait = (key: string, call: Unmatched<Ours, Theirs>, position: number) => {
    const same = waiting.get(key) ?? [];
    same.push({ ...call, position, sweeps: 0 });
    waiting.set(key, same);
    size++;
  };
  const remove = (key: string, same: Waiting[], count: number) => {
    size -= same.splice(0, count).length;
    if (same.length === 0) waiting.delete(key);
  };
  const takeFirst = <Side extends "ours" | "theirs">(key: string, side: Side): Waiting[Side] | undefined => {
    const same = waiting.get(key);
    const found = same?.[0]?.[side];
    if (same !== undefined && found !== undefined) remove(key, same, 1);
    return found;
  };
  return {
    pairOurs(key, ours, position) {
      const theirs = takeFirst(key, "theirs");
      if (theirs === undefined) wait(key, { ours }, position);
      return theirs;
    },
    pairTheirs(key, theirs) {
      const ours = takeFirst(key, "ours");
      if (ours === undefined) wait(key, { theirs }, 0);
      return ours;
    },
    size: () => size,
    undelivered: (taken) =>
      [...waiting.values()].flat().filter(({ ours, position }) => ours !== undefined && position <= taken)
        .length,
    takeLate(taken) {
      return [...waiting].flatMap(([key, same]) => {
        for (const call of same) if (call.position <= taken) call.sweeps++;
        const late = same.filter(({ sweeps }) => sweeps > SWEEPS_TO_MATCH);
        remove(key, same, late.length);
        return late;
      });
    },
    takeAll() {
      const all = [...waiting.values()].flat();
      waiting.clear();
      size = 0;
      return all;
    },
  };
}
