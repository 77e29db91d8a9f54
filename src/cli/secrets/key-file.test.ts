import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newJwk } from "../../jwt/new-key.ts";
import { editKeyFile } from "./key-file.ts";
import type { KeyEntry, RotationResult } from "./key-rotation.ts";

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "latchkey-key-file-"));
  file = join(folder, "keys.json");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

// A new JWK has every member of an entry.
const entry = (kid: string) => newJwk("ES256", kid) as KeyEntry;
const adding =
  (kid: string) =>
  (keys: readonly KeyEntry[]): RotationResult => ({
    kind: "changed",
    keys: [...keys, entry(kid)],
    kid,
    message: "",
  });
const read = () => JSON.parse(readFileSync(file, "utf8"));
const kids = () => read().keys.map(({ kid }: KeyEntry) => kid);

test("a file is created and edited so that only its owner can read it, and its other members are kept", async () => {
  await editKeyFile(file, adding("a"));
  writeFileSync(file, JSON.stringify({ ...read(), note: "ours", keys: [{ ...read().keys[0], mine: [1] }] }));
  chmodSync(file, 0o644);
  await editKeyFile(file, adding("b"));
  expect(read()).toMatchObject({ note: "ours", keys: [{ kid: "a", mine: [1] }, { kid: "b" }] });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["keys.json"]);
});

test("of two simultaneous edits one is made and the other is rejected, so no edit is lost", async () => {
  await editKeyFile(file, adding("a"));
  const both = await Promise.all([editKeyFile(file, adding("b")), editKeyFile(file, adding("c"))]);
  expect(both.map(({ kind }) => kind)).toEqual(["changed", "refused"]);
  expect(both[1].message).toContain("another `latchkey secrets` is running");
  expect(kids()).toEqual(["a", "b"]);
});

test("an invalid key set is neither edited nor written", async () => {
  writeFileSync(file, "{");
  expect(await editKeyFile(file, adding("a"))).toMatchObject({ kind: "refused" });
  expect(readFileSync(file, "utf8")).toBe("{");
  rmSync(file);
  await editKeyFile(file, adding("a"));
  const twice = await editKeyFile(file, adding("a"));
  expect(twice).toMatchObject({
    kind: "refused",
    message: expect.stringContaining("second key with this kid"),
  });
  expect(kids()).toEqual(["a"]);
});

test("a step that changes nothing writes nothing", async () => {
  await editKeyFile(file, adding("a"));
  const before = statSync(file).ino;
  await editKeyFile(file, () => ({ kind: "unchanged", message: "" }));
  expect(statSync(file).ino).toBe(before);
});

test("an edit through a symbolic link changes its target and keeps the link", async () => {
  const link = join(folder, "link.json");
  await editKeyFile(file, adding("a"));
  symlinkSync(file, link);
  await editKeyFile(link, adding("b"));
  expect(kids()).toEqual(["a", "b"]);
});
