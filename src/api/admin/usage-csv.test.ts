import { expect, test } from "vitest";
import { USAGE_CSV_HEAD, usageCsvLine } from "./usage-csv.ts";

const ROW = {
  owner: "acme",
  family: "fam_1",
  time: "2027-01-15T00:00:00Z",
  route: null,
  allowed: 10,
  denied: 1,
  limited: 2,
  cost: 30,
  units: { llm_tokens: 400, images: 2 },
};

test("a row has a cell for each column", () => {
  expect(usageCsvLine(ROW)).toBe("acme,fam_1,2027-01-15T00:00:00Z,,10,1,2,30,llm_tokens=400 images=2");
  expect(USAGE_CSV_HEAD.split(",")).toHaveLength(usageCsvLine(ROW).split(",").length);
});

test("a row of a route has neither time nor cost nor units", () => {
  const row = { ...ROW, time: null, route: "/v1/chat", cost: null, units: null };
  expect(usageCsvLine(row)).toBe("acme,fam_1,,/v1/chat,10,1,2,,");
});

test.each(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])(
  "a spreadsheet reads %j as text, not as a formula",
  (text) => {
    const [cell] = usageCsvLine({ ...ROW, owner: text }).split(",fam_1");
    expect(cell).toBe(`"'${text}"`);
  },
);

test.each([
  ['a "b"', '"a ""b"""'],
  ["a,b", '"a,b"'],
  ["a\nb", '"a\nb"'],
  ["a\r\n=1", '"a\r\n=1"'],
  ['=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'],
])("%j stays one cell", (text, expected) => {
  expect(usageCsvLine({ ...ROW, owner: text }).startsWith(`${expected},fam_1,`)).toBe(true);
});
