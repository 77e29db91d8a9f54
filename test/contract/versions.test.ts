import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { versionEdits } from "../../scripts/version-edits.ts";
import { readDocument } from "../support/documents.ts";

const { version } = z.object({ version: z.string() }).parse(JSON.parse(readDocument("package.json")));

test("every file that names the version has the one of package.json", () => {
  const edits = versionEdits(version, new Date());
  const changed = edits.filter(({ file, edit }) => edit(readDocument(file)) !== readDocument(file));
  expect(changed.map(({ file }) => file)).toEqual(["CHANGELOG.md"]);
});

test("`npm version` puts a new version into each of them, and dates the changelog", () => {
  const after = new Map(
    versionEdits("9.8.7", new Date("2031-02-03T04:05:06Z")).map(({ file, edit }) => [
      file,
      edit(readDocument(file)),
    ]),
  );
  expect(after.get("CHANGELOG.md")).toContain("## Unreleased\n\n## 9.8.7 - 2031-02-03\n");
  expect(parse(after.get("deploy/helm/latchkey/Chart.yaml") ?? "")).toMatchObject({
    version: "9.8.7",
    appVersion: "9.8.7",
  });
  expect(parse(after.get("deploy/compose/compose.yaml") ?? "").services.latchkey.image).toBe(
    "latchkey:9.8.7",
  );
  expect(after.get("docs/guides/install.md")).toContain("latchkey-9.8.7.tgz");
  expect(after.get("docs/guides/install.md")).not.toContain(`latchkey-${version}.tgz`);
});

test("a file without a place for the version is an error", () => {
  const [changelog] = versionEdits("9.8.7", new Date());
  expect(() => changelog?.edit("# Changelog")).toThrow("CHANGELOG.md has no place for the version");
});
