import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { removeAtEnd } from "../../test/support/at-end.ts";
import { textOf } from "./text-file.ts";

test("only regular files are read, so that a FIFO or a device cannot block the process", () => {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-fifo-"));
  removeAtEnd(folder);
  const fifo = join(folder, "fifo");
  execFileSync("mkfifo", [fifo]);
  for (const path of [fifo, folder, "/dev/zero", join(folder, "missing")])
    expect(textOf(path)).toBeUndefined();
});
