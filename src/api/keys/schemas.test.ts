import fc from "fast-check";
import { expect, test } from "vitest";
import { hasOurClaims } from "../../jwt/claim-forms.ts";
import { registerBody } from "./schemas.ts";

const ID = "basic_1800000000_abcdefghijklmnopqrstuv";
const UNCHANGED = { iss: "i", aud: "a", sub: ID, fam: ID, jti: ID, role: "basic" };
const TIMES = { iat: 1_800_000_000, nbf: 1_800_000_000, exp: 1_800_001_000, refresh_after: 1_800_000_500 };

const lengths = fc.constantFrom(0, 1, 63, 64, 65, 127, 128, 129);
const repeated = fc
  .tuple(fc.constantFrom("a", "é", "🔑", "\ud800"), lengths)
  .map(([text, n]) => text.repeat(n));
const text = fc.oneof(
  repeated,
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme", maxLength: 140 }),
);
const ascii = fc.tuple(fc.constantFrom("a", "A.", "-"), lengths).map(([part, n]) => part.repeat(n));
const networks = fc.array(fc.constantFrom("192.0.2.0/24", "2001:db8::/32", "::/0", "10.1.1.1/8"), {
  maxLength: 9,
});
const optional = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary, { nil: undefined, freq: 1 });

/** Otherwise a key would be issued that no Check ever accepts. */
test("every name, owner, plan, network and certificate of a registration may be a claim", () => {
  const bodies = fc.record({
    name: text,
    owner: optional(ascii),
    plan: optional(ascii),
    addresses: optional(networks),
    cnf: optional(fc.constantFrom("A", "B").map((last) => ({ "x5t#S256": `${"A".repeat(42)}${last}` }))),
  });
  let accepted = 0;
  fc.assert(
    fc.property(bodies, ({ name, owner, plan, addresses, cnf }) => {
      const body = JSON.stringify({ key_type: "basic", name, owner, plan, addresses, cnf });
      if (!registerBody.safeParse(JSON.parse(body)).success) return;
      accepted++;
      const claims = { ...UNCHANGED, ...TIMES, scope: "", name, own: owner, plan, nets: addresses, cnf };
      expect(hasOurClaims(JSON.parse(JSON.stringify(claims)))).toBe(true);
    }),
    { numRuns: 1000 },
  );
  expect(accepted).toBeGreaterThan(0);
});
