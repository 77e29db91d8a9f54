import { open, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { ChainState } from "./audit-chain.ts";
import { openSealed } from "./audit-chain.ts";

/** A claim of another host, such as a container that is gone, counts for so long after it was last touched. */
const CLAIM_LASTS_MS = 180_000;

const claimForm = z.object({ host: z.string(), pid: z.int() });
const stateForm = z.object({
  instance: z.string().min(1),
  n: z.int().min(0),
  hmac: z.string(),
  /** How long the file was with this line. */
  bytes: z.int().min(0),
});

/** That the chain of a file is ours to go on with. */
export interface ChainClaim {
  touch(): Promise<void>;
  release(): Promise<void>;
}

/** Claims the chain of this name; undefined while somebody who lives has it. */
export async function claimChain(name: string, nowMs: () => number): Promise<ChainClaim | undefined> {
  const claimPath = `${name}.pid`;
  const mine = { host: hostname(), pid: process.pid };
  const wasThere = await isThere(claimPath);
  const held = claimForm.safeParse(await readJson(claimPath));
  if (held.success && (await isHeld(held.data, claimPath, nowMs()))) return undefined;
  // What a dead one has left. Of several that start at once, only one then makes the file.
  if (wasThere) await rm(claimPath, { force: true });
  try {
    await writeFile(claimPath, JSON.stringify(mine), { mode: 0o640, flag: "wx" });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return undefined;
    throw error;
  }
  return {
    touch: () => utimes(claimPath, nowMs() / 1000, nowMs() / 1000),
    release: () => rm(claimPath, { force: true }),
  };
}

async function isHeld(
  { host, pid }: z.infer<typeof claimForm>,
  claimPath: string,
  nowMs: number,
): Promise<boolean> {
  if (host === hostname()) return pid !== process.pid && isAlive(pid);
  return nowMs - (await stat(claimPath)).mtimeMs < CLAIM_LASTS_MS;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process lives too.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Where a chain stands, beside its file. */
export interface ChainStateFile {
  readonly last: ChainState | undefined;
  remember(state: ChainState, bytes: number): Promise<void>;
}

/** None was left, or half of one: then a new chain begins, and says so by its first number. */
export async function openChainState(path: string, name: string, key: string): Promise<ChainStateFile> {
  const statePath = `${name}.chain`;
  const remembered = stateForm.safeParse(await readJson(statePath));
  return {
    last: remembered.success ? await newestLine(path, key, remembered.data) : undefined,
    async remember(state, bytes) {
      const file = await open(`${statePath}.new`, "w", 0o640);
      try {
        await file.writeFile(JSON.stringify({ ...state, bytes }));
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(`${statePath}.new`, statePath);
    },
  };
}

/** After a crash the file may be ahead of what was remembered of it; after a rotation another one is in its place. */
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
    const sealed = openSealed(key, line);
    if (sealed?.instance !== known.instance || sealed.n <= newest.n) continue;
    newest = { instance: sealed.instance, n: sealed.n, hmac: sealed.hmac };
  }
  return newest;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined; // What cannot be read is not there.
  }
}
