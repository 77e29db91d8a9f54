/** The event queue of a simulation. Only events advance its clock. */
export interface VirtualTime {
  nowMs(): number;
  /** Runs the work at this time. Work of the same time runs in the order of its scheduling. */
  at(timeMs: number, work: () => void): void;
  /** Runs all work up to this time. The continuations of settled promises run before the clock advances. */
  runUntil(endMs: number): Promise<void>;
}

interface Entry {
  readonly timeMs: number;
  readonly order: number;
  readonly work: () => void;
}

export function createVirtualTime(): VirtualTime {
  const heap: Entry[] = [];
  let nowMs = 0;
  let order = 0;
  const before = (a: Entry, b: Entry) => a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.order < b.order);
  return {
    nowMs: () => nowMs,
    at(timeMs, work) {
      push(heap, { timeMs: Math.max(timeMs, nowMs), order: order++, work }, before);
    },
    async runUntil(endMs) {
      for (let top = heap[0]; top !== undefined && top.timeMs <= endMs; top = heap[0]) {
        nowMs = top.timeMs;
        for (let due = heap[0]; due !== undefined && due.timeMs === nowMs; due = heap[0]) {
          pop(heap, before);
          due.work();
        }
        await new Promise(setImmediate);
      }
      nowMs = endMs;
    },
  };
}

function push<T>(heap: T[], item: T, before: (a: T, b: T) => boolean): void {
  heap.push(item);
  let at = heap.length - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !before(item, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = item;
}

function pop<T>(heap: T[], before: (a: T, b: T) => boolean): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const left = 2 * at + 1;
    const [a, b] = [heap[left], heap[left + 1]];
    if (a === undefined) break;
    const [child, index] = b !== undefined && before(b, a) ? [b, left + 1] : [a, left];
    if (!before(child, last)) break;
    heap[at] = child;
    at = index;
  }
  heap[at] = last;
}
