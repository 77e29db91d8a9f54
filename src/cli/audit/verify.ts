import { existsSync } from "node:fs";
import { z } from "zod";
import type { ChainState } from "../../audit/chain.ts";
import type { AuditVerifier, ChainBeginning, Verified } from "../../audit/verify.ts";
import { createAuditVerifier } from "../../audit/verify.ts";
import { secretText } from "../../config/secret-text.ts";
import { textOf } from "../../config/text-file.ts";
import { errorMessage } from "../../core/error-message.ts";
import { EXIT } from "../exit-codes.ts";
import { fileLines } from "../file-lines.ts";
import type { Io } from "../io.ts";
import { visible } from "../table.ts";

export interface VerifyOptions {
  /** The output of instances, kept elsewhere: what it says of the ends of chains must hold. */
  readonly checkpoints?: string;
  /** Where chains begin whose earlier lines are elsewhere. */
  readonly from?: readonly ChainBeginning[];
  readonly json?: true;
}

/** `INSTANCE:N`, or `INSTANCE:N:HMAC` with the HMAC of the line before; undefined for another text. */
export function parseBeginning(text: string): ChainBeginning | undefined {
  const [, instance, n, prev] = /^([^:\s]{1,64}):(\d{1,15})(?::([\w-]{43}))?$/.exec(text) ?? [];
  if (instance === undefined || n === undefined) return undefined;
  return { instance, n: Number(n), ...(prev !== undefined && { prev }) };
}

/** What stands beside a log and is none: whoever names the files by a pattern gives it too. */
const BESIDE = /\.(?:chain|chain\.new|lock)$/;

/** `latchkey audit verify`: resolves with the exit code. */
export async function verify(
  io: Io,
  names: readonly string[],
  { checkpoints, from, json }: VerifyOptions,
): Promise<number> {
  const key = keyOf(io);
  if (typeof key !== "string") {
    io.printError(key.missing);
    return EXIT.usageError;
  }
  try {
    const points = checkpoints === undefined ? [] : await readCheckpoints(checkpoints);
    const verified = await verifyFiles(names, createAuditVerifier(key, points, from));
    if (json) io.print(JSON.stringify(verified));
    else tell(io, verified);
    return verified.ok ? EXIT.done : EXIT.failed;
  } catch (error) {
    io.printError(errorMessage(error));
    return EXIT.usageError;
  }
}

function keyOf({ environment }: Io): string | { readonly missing: string } {
  const { AUDIT_KEY, AUDIT_KEY_FILE } = environment;
  if (!AUDIT_KEY && !AUDIT_KEY_FILE)
    return { missing: "AUDIT_KEY or AUDIT_KEY_FILE must give the key of the chain" };
  const key = secretText(AUDIT_KEY || textOf(AUDIT_KEY_FILE ?? "") || "");
  return key === "" ? { missing: "AUDIT_KEY is blank, or AUDIT_KEY_FILE cannot be read or is empty" } : key;
}

async function verifyFiles(names: readonly string[], verifier: AuditVerifier): Promise<Verified> {
  for (const name of new Set(names.filter((name) => !BESIDE.test(name)))) {
    if (!existsSync(name)) throw new Error(`${name}: there is no such file`);
    for await (const lines of fileLines(name)) {
      for (const line of lines) {
        const broken = verifier.take(name, line);
        if (broken !== undefined) return { ok: false, ...broken };
      }
    }
  }
  return verifier.end();
}

const checkpointLine = z.object({
  checkpoint: z.object({ instance: z.string(), n: z.int(), hmac: z.string() }),
});

/** All lines of a file that are checkpoints; the others are the log's. */
async function readCheckpoints(name: string): Promise<ChainState[]> {
  if (!existsSync(name)) throw new Error(`${name}: there is no such file`);
  const found: ChainState[] = [];
  for await (const lines of fileLines(name)) {
    for (const { text } of lines) {
      if (text?.includes('"checkpoint"') !== true) continue;
      const parsed = checkpointLine.safeParse(parseJson(text));
      if (parsed.success) found.push(parsed.data.checkpoint);
    }
  }
  if (found.length === 0) throw new Error(`${name}: there is no checkpoint in it`);
  return found;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function tell(io: Io, verified: Verified): void {
  if (!verified.ok) {
    const { file, line, problem } = verified;
    io.printError(visible(file === undefined ? problem : `${file}:${line}: ${problem}`));
    return;
  }
  for (const { instance, first, last, hmac } of verified.chains)
    io.print(
      `${visible(instance)}: ${first} to ${last} unbroken; compare the end with a checkpoint: ${hmac}`,
    );
  io.print(`${verified.lines} lines, nothing changed, nothing missing between them`);
}
