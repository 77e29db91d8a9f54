import { globSync } from "node:fs";
import { expect, test } from "vitest";
import { groupsOf } from "../mutants/groups.ts";
import { ROOT } from "../support/documents.ts";

test("every group of the mutation tests has its files and tests, also after a file was renamed", () => {
  for (const { name, folder, files, tests } of groupsOf([])) {
    const sources = globSync(folder, { cwd: ROOT });
    expect(files.filter((file) => !sources.includes(file))).toEqual([]);
    for (const glob of tests)
      expect([name, glob, globSync(glob, { cwd: ROOT }).length > 0]).toEqual([name, glob, true]);
  }
});

test("an argument that is neither a group nor a file of one is rejected, and a file selects its group's tests", () => {
  expect(() => groupsOf(["src/main.ts"])).toThrow("src/main.ts");
  expect(groupsOf(["src/jwt/signer.ts", "src/jwt/jwk.ts"])).toEqual([
    expect.objectContaining({
      name: "jwt-keys",
      files: ["src/jwt/signer.ts", "src/jwt/jwk.ts"],
      breakBelow: 0,
    }),
  ]);
  const handler = "src/ext-authz/decide.ts";
  expect(groupsOf([handler])).toEqual([expect.objectContaining({ name: "check-handler", files: [handler] })]);
  expect(groupsOf(["check-handler"])).toEqual([expect.objectContaining({ files: [handler] })]);
});
