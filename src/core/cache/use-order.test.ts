import fc from "fast-check";
import { expect, test } from "vitest";
import type { Ordered } from "./use-order.ts";
import { createUseOrder } from "./use-order.ts";

interface Entry extends Ordered<Entry> {
  readonly name: number;
}

test("for any appended and removed entries, the order is that of a Set", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 5 }), { maxLength: 40 }), (toggled) => {
      const order = createUseOrder<Entry>();
      const set = new Set<Entry>();
      const entries = Array.from({ length: 6 }, (_, name): Entry => {
        return { name, before: undefined, after: undefined };
      });
      for (const name of toggled) {
        const entry = entries[name] ?? expect.fail("six entries");
        if (set.delete(entry)) order.remove(entry);
        else {
          set.add(entry);
          order.append(entry);
        }
        expect(listOf(order.first())).toEqual([...set].map((one) => one.name));
      }
    }),
  );
});

function listOf(first: Entry | undefined): number[] {
  const names: number[] = [];
  for (let entry = first; entry !== undefined; entry = entry.after) {
    expect(entry.after?.before ?? entry).toBe(entry);
    names.push(entry.name);
  }
  return names;
}
