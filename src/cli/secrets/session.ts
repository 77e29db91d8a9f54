import { readConfig } from "../../config/load.ts";
import type { Settings } from "../../config/settings.ts";
import { readText } from "../../config/text-file.ts";
import { openPolicy } from "../../policy/active-policy.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { editKeyFile } from "./key-file.ts";
import type { Keys, RotationResult } from "./key-rotation.ts";
import type { SecretRotationResult, Secrets } from "./secret-rotation.ts";
import { asVariables, shellLine } from "./secret-rotation.ts";

/** The result of one step of a rotation, and the variables that the operator must set. */
export type SessionResult = (RotationResult | SecretRotationResult) & {
  readonly variables?: Readonly<Record<string, string>>;
};

/** The signing keys and secrets that one command works on. */
export interface Session {
  /** `JWT_KEYS_FILE`. */
  readonly file: string | undefined;
  readonly secrets: Secrets;
  readonly longestTtlSeconds: () => number;
  edit(rotate: (known: Keys) => RotationResult): Promise<RotationResult>;
}

/** Adds the variables that the operator must set, because the program cannot set them. */
export function withVariables(result: SecretRotationResult): SessionResult {
  return result.kind === "changed" ? { ...result, variables: asVariables(result.set) } : result;
}

/** Runs one step of a rotation and prints its result. Resolves with the exit code. */
export async function runRotation(
  io: Io,
  { json }: { readonly json?: true },
  rotate: (session: Session) => Promise<SessionResult>,
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
  const result = await rotate({
    file,
    secrets: { ...(JWT_SECRET !== undefined && { signing: JWT_SECRET }), previous: JWT_SECRET_PREVIOUS },
    longestTtlSeconds: () => Math.max(...roles.map(({ ttlSeconds }) => ttlSeconds)),
    edit: (change) =>
      editKeyFile(file ?? "", (keys) =>
        change({ keys, secretSigns: JWT_SECRET !== undefined, nowMs: Date.now() }),
      ),
  });
  printResult(io, result, json);
  return result.kind === "refused" ? EXIT.failed : EXIT.done;
}

/** Prints only the variables to stdout, so that a script can store them. They hold secrets. */
function printResult(io: Io, result: SessionResult, json: true | undefined): void {
  const { kind, message, variables } = result;
  if (json) {
    const kid = "kid" in result ? result.kid : undefined;
    const retireAt = "retireAt" in result ? result.retireAt : undefined;
    io.print(JSON.stringify({ result: kind, kid, told: message, variables, retire_at: retireAt }));
  } else if (variables !== undefined) {
    io.printError(
      `${message}. Set these variables for every instance, then restart the instances one by one; they hold secrets:`,
    );
    for (const variable of Object.entries(variables)) io.print(shellLine(variable));
  } else if (kind === "refused") io.printError(`latchkey: ${message}`);
  else io.print(message);
}

/** Returns undefined after printing the problems of the settings. */
export function settingsOf(io: Io): Settings | undefined {
  const config = readConfig(io.environment, readText);
  if (config.ok) return config.settings;
  io.printError(config.problems.join("\n"));
  return undefined;
}
