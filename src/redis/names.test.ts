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
      expect(spreadKeys(false).quota(`quota/key:monthly:${id}`)).toBe(`latchkey:quota:key:monthly:${id}`);
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

test("in a Cluster, all names of a subject lie in one slot, and no text chooses the slot of another subject", () => {
  const { bucket, quota, charges } = spreadKeys(true);
  fc.assert(
    fc.property(text, text, (subject, other) => {
      const tags = ["pro:burst", "plan/x:day", "shadow:pro:burst"].map((limit) =>
        taggedPart(bucket(`${limit}:${subject}`)),
      );
      for (const counter of ["key:monthly", "shadow/owner:monthly"])
        for (const name of [quota(`quota/${counter}:${subject}`), charges(`quota/${counter}:${subject}`, 7)])
          tags.push(taggedPart(name));
      expect(new Set(tags).size).toBe(1);
      expect(tags[0] === taggedPart(bucket(`pro:burst:${other}`))).toBe(subject === other);
    }),
  );
});

test("in a Cluster, two buckets or counters never share a name", () => {
  const { bucket, quota } = spreadKeys(true);
  fc.assert(
    fc.property(text, text, (one, other) => {
      expect(bucket(one) === bucket(other)).toBe(one === other);
      const [counter, another] = [one, other].map((subject) => quota(`quota/key:monthly:${subject}`));
      expect(counter === another).toBe(one === other);
    }),
  );
});

test("the charges of two counters or hours never share a name", () => {
  const hour = fc.integer({ min: 0, max: 12 });
  const counter = fc.record({
    quota: fc.constantFrom("key:a", "key:a1", "shadow/key:a"),
    subject: text,
    hour,
  });
  fc.assert(
    fc.property(counter, counter, fc.boolean(), (one, other, isCluster) => {
      const [name, another] = [one, other].map(({ quota, subject, hour: at }) =>
        spreadKeys(isCluster).charges(`quota/${quota}:${subject}`, at),
      );
      expect(name === another).toBe(JSON.stringify(one) === JSON.stringify(other));
    }),
  );
});
