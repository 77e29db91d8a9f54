/** An entry of a {@link UseOrder}. It has its own links, so that a move allocates nothing. */
export interface Ordered<Entry> {
  before: Entry | undefined;
  after: Entry | undefined;
}

/**
 * Entries in the order of their last use. A Map could keep this order as well, but a moved entry leaves a hole there, and a large
 * map is copied when it has many holes.
 */
export interface UseOrder<Entry extends Ordered<Entry>> {
  /** The least recently used entry. */
  first(): Entry | undefined;
  /** Adds an entry that is not in the order. */
  append(entry: Entry): void;
  remove(entry: Entry): void;
}

export function createUseOrder<Entry extends Ordered<Entry>>(): UseOrder<Entry> {
  let first: Entry | undefined;
  let last: Entry | undefined;
  return {
    first: () => first,
    append(entry) {
      entry.before = last;
      entry.after = undefined;
      if (last === undefined) first = entry;
      else last.after = entry;
      last = entry;
    },
    remove(entry) {
      const { before, after } = entry;
      if (before === undefined) first = after;
      else before.after = after;
      if (after === undefined) last = before;
      else after.before = before;
      entry.before = entry.after = undefined;
    },
  };
}
