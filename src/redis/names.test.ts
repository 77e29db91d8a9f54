import fc from "fast-check";
import { expect, test } from "vitest";
import { registryKeys, spreadKeys } from "./names.ts";

/** The part of a name that decides its slot (Redis Cluster specification, "Hash tags"). */
function taggedPart(name: string): string {
  const open = name.indexOf("{");
  const close = name.indexOf("}", open + 1);
  return open === -1 || close <= open + 1 ? name : name.slice(open + 1, close);
}

/** Texts that try to close a tag or to open one. */
const text = fc.string({ unit: fc.constantFrom("{", "}", "%", "7", "b", "B", ":", "latchkey", "a", "\n") });

function allNames(keys: ReturnType<typeof registryKeys>, of: string): readonly string[] {
  return Object.values(keys).map((name) => (typeof name === "string" ? name : name(of, of)));
}

test("without a Cluster the names are those of earlier versions", () => {
  const keys = registryKeys(false);
  expect([keys.key("k"), keys.byAge, keys.byOwner("o"), keys.feedSequence]).toEqual([
    "api_key:k",
    "latchkey:keys:by_age",
    "latchkey:keys:by_owner:o",
    "latchkey:feed:sequence",
  ]);
  fc.assert(
    fc.property(text, (id) => {
      expect(spreadKeys(false).bucket(id)).toBe(`latchkey:bucket:${id}`);
    }),
  );
});

test("in a Cluster, no text moves a name of the registry out of its slot", () => {
  fc.assert(
    fc.property(text, (of) => {
      for (const name of allNames(registryKeys(true), of)) expect(taggedPart(name)).toBe("latchkey");
    }),
  );
});

test("in a Cluster, a scan of api_key:* finds only records", () => {
  const keys = registryKeys(true);
  const found = allNames(keys, "x").filter((name) => name.startsWith("api_key:"));
  expect(found).toEqual([keys.key("x"), keys.probedRecord("x")]);
});

test("in a Cluster, all buckets of a subject lie in one slot, and no text chooses the slot of another subject", () => {
  const { bucket } = spreadKeys(true);
  fc.assert(
    fc.property(text, text, (subject, other) => {
      const tags = ["pro:burst", "plan/x:day", "shadow:pro:burst"].map((limit) =>
        taggedPart(bucket(`${limit}:${subject}`)),
      );
      expect(new Set(tags).size).toBe(1);
      expect(tags[0] === taggedPart(bucket(`pro:burst:${other}`))).toBe(subject === other);
    }),
  );
});

test("in a Cluster, two buckets never share a name", () => {
  const { bucket } = spreadKeys(true);
  fc.assert(
    fc.property(text, text, (one, other) => {
      expect(bucket(one) === bucket(other)).toBe(one === other);
    }),
  );
});
