import { expect, test } from "vitest";
import { countQuery, filterOf } from "./key-query.ts";
import { cutOffBody } from "./key-schemas.ts";

test.each(["2027-01-15T12:00:00Z", "2027-01-15T12:00:00.500Z", "2027-01-15T12:00:00.001+02:00"])(
  "a count of the keys issued before %s covers the keys that a cut-off at this time revokes",
  (before) => {
    const counted = filterOf(countQuery.parse({ issued_before: before }));
    expect(counted.issuedBefore).toBe(cutOffBody.parse({ before }).before);
  },
);

test("keys are counted for every owner whose keys can be revoked", () => {
  for (const owner of ["acme", "corp:alice"]) {
    expect(cutOffBody.parse({ before: "2027-01-15T12:00:00Z", owner }).owner).toBe(owner);
    expect(filterOf(countQuery.parse({ owner })).owner).toBe(owner);
  }
});
