import { existsSync } from "node:fs";
import { z } from "zod";
import type { ChainState } from "../../audit/chain.ts";
import type { AuditVerifier, ChainBeginning, Verified } from "../../audit/verify.ts";
import { createAuditVerifier } from "../../audit/verify.ts";
import { secretText } from "../../config/secret-text.ts";
import { textOf } from "../../config/text-file.ts";
import { errorMessage } from "../../core/error-message.ts";
import { visible } from "../../core/escape-text.ts";
import { EXIT } from "../exit-codes.ts";
import { fileLines } from "../file-lines.ts";
import type { Io } from "../io.ts";

export interface VerifyOptions {
  /** A file with log output of the instances. The logs must contain its checkpoints. */
  readonly checkpoints?: string;
  /** The first lines of chains whose earlier lines are archived. */
  readonly from?: readonly ChainBeginning[];
  readonly json?: true;
}

/** Parses `INSTANCE:N`, or `INSTANCE:N:HMAC` with the HMAC of the previous line. Undefined if the text is invalid. */
export function parseBeginning(text: string): ChainBeginning | undefined {
  const [, instance, n, prev] = /^([^:\s]{1,64}):(\d{1,15})(?::([\w-]{43}))?$/.exec(text) ?? [];
  if (instance === undefined || n === undefined) return undefined;
  return { instance, n: Number(n), ...(prev !== undefined && { prev }) };
}

/** Files beside a log that are not logs. A shell pattern such as `api.log*` includes them. */
const NOT_A_LOG = /\.(?:chain|chain\.new|lock)$/;

/** `latchkey audit verify`. Resolves with the exit code. */
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
    const expected = checkpoints === undefined ? [] : await readCheckpoints(checkpoints);
    const verified = await verifyFiles(names, createAuditVerifier(key, expected, from));
    if (json) io.print(JSON.stringify(verified));
    else printResult(io, verified);
    return verified.ok ? EXIT.done : EXIT.failed;
  } catch (error) {
    io.printError(errorMessage(error));
    return EXIT.usageError;
  }
}

function keyOf({ environment }: Io): string | { readonly missing: string } {
  const { AUDIT_KEY, AUDIT_KEY_FILE } = environment;
  if (!AUDIT_KEY && !AUDIT_KEY_FILE)
    return { missing: "set AUDIT_KEY or AUDIT_KEY_FILE to the key of the chain" };
  const key = secretText(AUDIT_KEY || textOf(AUDIT_KEY_FILE ?? "") || "");
  return key === "" ? { missing: "AUDIT_KEY is blank, or AUDIT_KEY_FILE cannot be read or is empty" } : key;
}

async function verifyFiles(names: readonly string[], verifier: AuditVerifier): Promise<Verified> {
  for (const name of new Set(names.filter((name) => !NOT_A_LOG.test(name)))) {
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

/** Reads the checkpoints of a file and ignores its other lines. Rejects if it has none. */
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
  if (found.length === 0) throw new Error(`${name}: the file has no checkpoint`);
  return found;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function printResult(io: Io, verified: Verified): void {
  if (!verified.ok) {
    const { file, line, problem } = verified;
    io.printError(visible(file === undefined ? problem : `${file}:${line}: ${problem}`));
    return;
  }
  for (const { instance, first, last, hmac } of verified.chains)
    io.print(
      `${visible(instance)}: lines ${first} to ${last} are intact; compare the last HMAC with a checkpoint: ${hmac}`,
    );
  io.print(`${verified.lines} lines verified: none changed, none missing in between`);
}
