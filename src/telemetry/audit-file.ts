import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { ChainState } from "./audit-chain.ts";
import { openSealed } from "./audit-chain.ts";

/** Beyond this a file is put aside under the time of its end. */
const MAX_BYTES = 100 * 1024 * 1024;
/** As much of a file's end as holds its last line. */
const TAIL_BYTES = 64 * 1024;

/** A file of audit lines. */
export interface AuditFile {
  /** Where the chain stood when it was last written; undefined where nothing tells. */
  readonly last: ChainState | undefined;
  /** Appends whole lines, on the disk before it returns, and remembers where the chain stands. Throws when it cannot. */
  append(lines: readonly string[], state: ChainState): void;
  /** Opens the file anew: somebody has put it aside. */
  reopen(): void;
  close(): void;
}

/** Several processes may write one file, but not one chain: `chain` names that of this one, across its restarts. */
export function openAuditFile(path: string, key: string, nowMs: () => number, chain = path): AuditFile {
  mkdirSync(dirname(path), { recursive: true });
  const statePath = claimChain(chain) ? `${chain}.chain` : undefined;
  let descriptor = openSync(path, "a+", 0o640);
  const reopen = () => {
    closeSync(descriptor);
    descriptor = openSync(path, "a+", 0o640);
  };
  return {
    last: statePath === undefined ? undefined : newest(lastSealed(path, key), stateAt(statePath)),
    append(lines, state) {
      writeSync(descriptor, lines.map((line) => `${line}\n`).join(""));
      fsyncSync(descriptor);
      if (statePath !== undefined) {
        writeFileSync(`${statePath}.new`, JSON.stringify(state), { mode: 0o640 });
        renameSync(`${statePath}.new`, statePath);
      }
      if (fstatSync(descriptor).size < MAX_BYTES) return;
      renameSync(path, `${path}.${new Date(nowMs()).toISOString().replaceAll(":", "")}`);
      reopen();
    },
    reopen,
    close() {
      closeSync(descriptor);
      if (statePath !== undefined) rmSync(`${chain}.pid`, { force: true });
    },
  };
}

/** Whether the chain of this file is ours to go on with: nobody who lives has it. */
function claimChain(path: string): boolean {
  const pidPath = `${path}.pid`;
  try {
    const holder = Number(readFileSync(pidPath, "utf8"));
    if (holder !== process.pid && isAlive(holder)) return false;
  } catch {
    // Nobody has claimed it.
  }
  writeFileSync(pidPath, String(process.pid), { mode: 0o640 });
  return true;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** After a crash the file may be ahead of what was remembered of it; after a rotation it is empty. */
function newest(written: ChainState | undefined, remembered: ChainState | undefined): ChainState | undefined {
  const ahead = written?.instance === remembered?.instance && (written?.n ?? 0) > (remembered?.n ?? 0);
  return ahead ? written : remembered;
}

function stateAt(path: string): ChainState | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    const { instance, n, hmac } = { instance: "", n: 0, hmac: "", ...Object(value) };
    return typeof instance === "string" &&
      instance !== "" &&
      Number.isSafeInteger(n) &&
      typeof hmac === "string"
      ? { instance, n, hmac }
      : undefined;
  } catch {
    return undefined; // None was left, or half of one: then a new chain begins, and says so by its first number.
  }
}

function lastSealed(path: string, key: string): ChainState | undefined {
  const text = readFileSync(path);
  const lines = text
    .subarray(Math.max(0, text.length - TAIL_BYTES))
    .toString("utf8")
    .trimEnd()
    .split("\n");
  return openSealed(key, lines.at(-1) ?? "");
}
