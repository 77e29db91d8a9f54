/** One operation on a value that several clients write and read. Times are milliseconds of one clock. */
export interface RegisterOperation {
  readonly kind: "write" | "read";
  /** Each write has another value. */
  readonly value: string;
  readonly sentMs: number;
  /** Infinite for a write without a certain response: it may have been carried out at any time since, or never. */
  readonly ackedMs: number;
}

/**
 * Whether the operations have an order, in which each of them takes effect between its request and its response, and each read
 * finds the last write. (A search like that of Wing and Gong, with a memory of dead ends.)
 */
export function isLinearizable(first: string, operations: readonly RegisterOperation[]): boolean {
  const deadEnds = new Set<string>();
  const search = (left: readonly number[], value: string): boolean => {
    const open = left.map((at) => operations[at]).filter((one) => one !== undefined);
    if (open.every(({ ackedMs }) => ackedMs === Number.POSITIVE_INFINITY)) return true;
    const state = `${left.join()} ${value}`;
    if (deadEnds.has(state)) return false;
    // An operation comes next only if no other one was answered before it was sent.
    const nextByMs = Math.min(...open.map(({ ackedMs }) => ackedMs));
    const found = left.some((at) => {
      const next = operations[at];
      if (next === undefined || next.sentMs > nextByMs) return false;
      if (next.kind === "read" && next.value !== value) return false;
      return search(
        left.filter((other) => other !== at),
        next.value,
      );
    });
    if (!found) deadEnds.add(state);
    return found;
  };
  return search([...operations.keys()], first);
}
