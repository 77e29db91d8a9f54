import { expect, test } from "vitest";
import { flag, pageLimit } from "./query-values.ts";

test.each(["1", "500", "0500"])("a page limit of %s is accepted", (text) => {
  expect(pageLimit.parse(text)).toBe(Number(text));
});

test.each(["", "0", "501", "00001", "-1", "1.0", "1e2", "0x1", " 1", "١"])(
  "a page limit of %j is rejected",
  (text) => {
    const parsed = pageLimit.safeParse(text);
    expect(parsed.error?.issues[0]?.message).toBe("must be a whole number from 1 to 500");
  },
);

test("a flag is true or false, in exactly this spelling", () => {
  expect(["true", "false"].map((text) => flag.parse(text))).toEqual([true, false]);
  for (const text of ["", "1", "yes", "True", "false "]) expect(flag.safeParse(text).success).toBe(false);
});
