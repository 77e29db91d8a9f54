import { open, readFile, rename, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { ChainState } from "./chain.ts";
import { verifySealedLine } from "./chain.ts";

const stateForm = z.object({
  instance: z.string().min(1),
  n: z.int().min(0),
  hmac: z.string(),
  /** The size of the file up to and including this line. */
  bytes: z.int().min(0),
});

/** The state file of a chain, beside the log file. */
export interface ChainStateFile {
  readonly last: ChainState;
  remember(state: ChainState, bytes: number): Promise<void>;
}

/**
 * Without a readable state a new chain begins with number 1. Its name is stored before its first line is written, because
 * a crash may leave that line behind.
 */
export async function openChainState(
  path: string,
  name: string,
  key: string,
  newRandom: () => string,
): Promise<ChainStateFile> {
  const statePath = `${name}.chain`;
  const remember: ChainStateFile["remember"] = async (state, bytes) => {
    const file = await open(`${statePath}.new`, "w", 0o600);
    try {
      await file.writeFile(JSON.stringify({ ...state, bytes }));
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(`${statePath}.new`, statePath);
  };
  const remembered = stateForm.safeParse(await readJson(statePath));
  if (remembered.success) return { last: await newestLine(path, key, remembered.data), remember };
  const last = { instance: newRandom(), n: 0, hmac: "" };
  await remember(last, (await stat(path)).size).catch(() => undefined);
  return { last, remember };
}

/** After a crash the file may be ahead of the stored state. After a rotation the path names another file. */
async function newestLine(
  path: string,
  key: string,
  remembered: z.infer<typeof stateForm>,
): Promise<ChainState> {
  const { bytes, ...known } = remembered;
  let newest: ChainState = known;
  const file = await open(path);
  const { size } = await file.stat();
  const input = file.createReadStream({ start: size < bytes ? 0 : bytes, encoding: "utf8" });
  for await (const line of createInterface({ input })) {
    if (!line.includes(`"instance":"${known.instance}"`)) continue;
    const sealed = verifySealedLine(key, line);
    if (sealed?.instance !== known.instance || sealed.n <= newest.n) continue;
    newest = { instance: sealed.instance, n: sealed.n, hmac: sealed.hmac };
  }
  return newest;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined; // Treats an unreadable state as missing.
  }
}
