import { expect, test } from "vitest";
import type { Reload } from "./reloadable.ts";
import { createReloadable } from "./reloadable.ts";

test("an invalid value is reported, and the old one stays", async () => {
  const problems = ["line 1: wrong"];
  const reloadable = createReloadable({
    files: [],
    first: "old",
    read: (): Reload<string> => ({ kind: "refused", problems }),
  });
  const reports: Reload<string>[] = [];
  reloadable.onReload((reload) => reports.push(reload));
  expect(await reloadable.reload()).toEqual({ kind: "refused", problems });
  expect(reports).toEqual([{ kind: "refused", problems }]);
  expect(reloadable.current()).toBe("old");
});

test("a new value applies before its subscribers are called, and an unchanged one is not reported", async () => {
  const found: Reload<string>[] = [{ kind: "taken", value: "new" }, { kind: "unchanged" }];
  const reloadable = createReloadable({
    files: [],
    first: "old",
    read: () => found.shift() ?? { kind: "unchanged" },
  });
  const seen: string[] = [];
  const unsubscribe = reloadable.onReload(() => seen.push(reloadable.current()));
  await reloadable.reload();
  await reloadable.reload();
  expect(seen).toEqual(["new"]);
  unsubscribe();
  found.push({ kind: "taken", value: "newest" });
  await reloadable.reload();
  expect(seen).toEqual(["new"]);
  expect(reloadable.current()).toBe("newest");
});

test("reloads run one after the other, so that the last file read wins", async () => {
  const gates = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  let reads = 0;
  const reloadable = createReloadable({
    files: [],
    first: "first",
    read: async (): Promise<Reload<string>> => ({
      kind: "taken",
      value: (await gates[reads++]?.promise) ?? "",
    }),
  });
  const reloads = [reloadable.reload(), reloadable.reload()];
  gates[1]?.resolve("third");
  gates[0]?.resolve("second");
  await Promise.all(reloads);
  expect(reloadable.current()).toBe("third");
});

test("a read that throws rejects its own reload and no later one", async () => {
  let broken = true;
  const reloadable = createReloadable({
    files: [],
    first: "old",
    read: (): Reload<string> => {
      if (broken) throw new Error("broken");
      return { kind: "taken", value: "new" };
    },
  });
  await expect(reloadable.reload()).rejects.toThrow("broken");
  broken = false;
  await reloadable.reload();
  expect(reloadable.current()).toBe("new");
});

test("what reads the files learns what caused the reload", async () => {
  const causes: unknown[] = [];
  const reloadable = createReloadable({
    files: [],
    first: "old",
    read: (_, cause): Reload<string> => {
      causes.push(cause);
      return { kind: "unchanged" };
    },
  });
  await reloadable.reload();
  await reloadable.reload({ kind: "call", actor: "admin:1" });
  expect(causes).toEqual([{ kind: "file" }, { kind: "call", actor: "admin:1" }]);
});
