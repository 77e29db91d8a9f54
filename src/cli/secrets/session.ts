import { readConfig } from "../../config/load.ts";
import type { Settings } from "../../config/settings.ts";
import { readText } from "../../config/text-file.ts";
import { openPolicy } from "../../policy/active-policy.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { editKeyFile } from "./key-file.ts";
import type { Keys, RotationResult } from "./key-rotation.ts";
import type { SecretMove, Secrets } from "./secret-rotation.ts";
import { asVariables, shellLine } from "./secret-rotation.ts";

/** What came of a move, and which variables are to be set beside it. */
export type Moved = (RotationResult | SecretMove) & { readonly variables?: Readonly<Record<string, string>> };

/** Where what signs is kept. */
export interface Session {
  /** `JWT_KEYS_FILE`. */
  readonly file: string | undefined;
  readonly secrets: Secrets;
  readonly longestTtlSeconds: () => number;
  edit(move: (known: Keys) => RotationResult): Promise<RotationResult>;
}

/** A move that the program cannot make itself. */
export function withVariables(move: SecretMove): Moved {
  return move.kind === "changed" ? { ...move, variables: asVariables(move.set) } : move;
}

/** Makes one move, and says what came of it: the exit code. */
export async function runRotation(
  io: Io,
  { json }: { readonly json?: true },
  move: (world: Session) => Promise<Moved>,
): Promise<number> {
  const settings = settingsOf(io);
  if (settings === undefined) return EXIT.usageError;
  const policy = openPolicy(settings);
  if (!policy.ok) {
    io.printError(policy.problems.join("\n"));
    return EXIT.usageError;
  }
  const roles = [...policy.policy.current().roles.values()];
  const { JWT_SECRET, JWT_SECRET_PREVIOUS = [], JWT_KEYS_FILE: file } = settings;
  const moved = await move({
    file,
    secrets: { ...(JWT_SECRET !== undefined && { signing: JWT_SECRET }), previous: JWT_SECRET_PREVIOUS },
    longestTtlSeconds: () => Math.max(...roles.map(({ ttlSeconds }) => ttlSeconds)),
    edit: (change) =>
      editKeyFile(file ?? "", (keys) =>
        change({ keys, secretSigns: JWT_SECRET !== undefined, nowMs: Date.now() }),
      ),
  });
  printResult(io, moved, json);
  return moved.kind === "refused" ? EXIT.failed : EXIT.done;
}

/** The variables alone go to stdout: they hold secrets, and whoever keeps them should not have to pick them out. */
function printResult(io: Io, moved: Moved, json: true | undefined): void {
  const { kind, message: told, variables } = moved;
  if (json) {
    const kid = "kid" in moved ? moved.kid : undefined;
    const retireAt = "retireAt" in moved ? moved.retireAt : undefined;
    io.print(JSON.stringify({ result: kind, kid, told, variables, retire_at: retireAt }));
  } else if (variables !== undefined) {
    io.printError(
      `${told}. Set these for every instance, and restart one after the other; they hold secrets:`,
    );
    for (const variable of Object.entries(variables)) io.print(shellLine(variable));
  } else if (kind === "refused") io.printError(`latchkey: ${told}`);
  else io.print(told);
}

/** Undefined once it has been told what is wrong with them. */
export function settingsOf(io: Io): Settings | undefined {
  const config = readConfig(io.environment, readText);
  if (config.ok) return config.settings;
  io.printError(config.problems.join("\n"));
  return undefined;
}
