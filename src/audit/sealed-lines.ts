import { setImmediate as nextTurn } from "node:timers/promises";
import type { AuditFields, ChainState } from "./chain.ts";
import { createAuditChain } from "./chain.ts";
import type { AuditFile } from "./file.ts";

/** Without a file, the output takes lines within this time, or the log fails. */
const DELIVERED_WITHIN_MS = 2000;
/** Lines sealed between two turns of the event loop: a fraction of a millisecond. */
const SEALED_AT_ONCE = 50;

/** Standard output. */
export interface LineOutput {
  /** A text of at most this size is written in one piece. The lines of another process do not get between its lines. */
  readonly maxPieceBytes: number;
  write(text: string): void;
  /** Resolves with what the output has taken of the text within this time. It finishes a line that it has begun before others. */
  deliver(
    text: string,
    withinMs: number,
  ): Promise<{ readonly isWhole: boolean; readonly begunLines: number }>;
  /** Lines dropped since the start. */
  dropped(): number;
}

export interface SealedLinesOptions {
  readonly key: string;
  /** Undefined if lines go to the output only. */
  readonly file: AuditFile | undefined;
  /** Receives every line, too. Without a file, a line counts as written once the output has taken it. */
  readonly output: LineOutput;
  readonly newRandom: () => string;
}

export type WriteLines = (lines: readonly AuditFields[]) => Promise<void>;

/** Seals and writes lines, all or none. Without a file it writes as many as the output takes. */
export function createSealedLines({ key, file, output, newRandom }: SealedLinesOptions): {
  readonly state: () => ChainState;
  readonly write: WriteLines;
} {
  let written = file?.last ?? { instance: newRandom(), n: 0, hmac: "" };
  return {
    state: () => written,
    async write(lines) {
      if (lines.length === 0) return;
      // A line that was not written gets no number, so the chain has no gap.
      const chain = createAuditChain(key, written);
      const sealed = await sealAll(lines, chain);
      if (file === undefined) {
        for (const { text, states } of joinedUpTo(output.maxPieceBytes, sealed)) {
          const { isWhole, begunLines } = await output.deliver(text, DELIVERED_WITHIN_MS);
          // The number of a line that is in the output, or will be, is not used again.
          written = states[begunLines - 1] ?? written;
          if (!isWhole) throw new Error("standard output does not take audit lines, and AUDIT_FILE is off");
        }
        return;
      }
      const texts = sealed.map(({ text }) => text);
      await file.append(texts, chain.state());
      written = chain.state();
      // With a file, the file is the log. A failure of the output does not matter.
      for (const text of texts) output.write(`${text}\n`);
    },
  };
}

/** A line as text, and the state of the chain after it. */
interface Sealed {
  readonly text: string;
  readonly state: ChainState;
}

/** Lines as text, and the state of the chain after each of them. */
interface Joined {
  readonly text: string;
  readonly states: readonly ChainState[];
}

/** Joins lines into texts of at most this size. A longer line is a text of its own. */
function* joinedUpTo(maxBytes: number, lines: readonly Sealed[]): Generator<Joined> {
  let joined: Joined | undefined;
  for (const { text, state } of lines) {
    const longer = { text: `${joined?.text ?? ""}${text}\n`, states: [...(joined?.states ?? []), state] };
    if (joined === undefined || Buffer.byteLength(longer.text) <= maxBytes) {
      joined = longer;
      continue;
    }
    yield joined;
    joined = { text: `${text}\n`, states: [state] };
  }
  if (joined !== undefined) yield joined;
}

async function sealAll(
  lines: readonly AuditFields[],
  chain: ReturnType<typeof createAuditChain>,
): Promise<readonly Sealed[]> {
  const sealed: Sealed[] = [];
  for (const fields of lines) {
    sealed.push({ text: chain.seal(fields), state: chain.state() });
    if (sealed.length % SEALED_AT_ONCE === 0) await nextTurn();
  }
  return sealed;
}
