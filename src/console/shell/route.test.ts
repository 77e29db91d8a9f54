import fc from "fast-check";
import { expect, test } from "vitest";
import { hrefOf, parseRoute } from "./route.ts";

test("a place is read back as it was written, whatever its names contain", () => {
  const segment = fc.string({ minLength: 1, unit: "grapheme" });
  const query = fc.dictionary(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }));
  fc.assert(
    fc.property(fc.array(segment), query, (segments, values) => {
      const route = parseRoute(hrefOf(segments, values));
      expect(route.segments).toEqual(segments);
      expect(Object.fromEntries(route.query)).toEqual({ ...values });
    }),
  );
});

test("members without a value are left out, and a segment that cannot be decoded stays as it is", () => {
  expect(hrefOf(["keys"], { owner: "a b", role: undefined, plan: "" })).toBe("#/keys?owner=a+b");
  expect(parseRoute("#/keys/%ff").segments).toEqual(["keys", "%ff"]);
  expect(parseRoute("").segments).toEqual([]);
});
