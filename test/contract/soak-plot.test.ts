import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pictureOfDocuments, SOAK_FOLDER } from "../../scripts/soak-plot.ts";
import { COLUMNS } from "../soak/figures.ts";

test("the picture of the soak is the one of its figures", () => {
  expect(readFileSync(join(SOAK_FOLDER, "figures.svg"), "utf8")).toBe(pictureOfDocuments());
});

test("the figures of the soak have the columns of today", () => {
  for (const store of ["embedded", "redis"])
    expect(readFileSync(join(SOAK_FOLDER, `soak-${store}.csv`), "utf8").split("\n")[0]).toBe(
      COLUMNS.join(","),
    );
});
