import type { LatchkeyClient } from "../client/client.ts";
import { createClient } from "../client/client.ts";
import { LatchkeyProblem, LatchkeyUnreachable } from "../client/problem.ts";
import type { Io } from "./io.ts";
import { visible } from "./table.ts";

const DEFAULT_URL = "http://127.0.0.1:8000";

/** The live instance that `LATCHKEY_URL` names, with the operator's credential of `LATCHKEY_TOKEN`. */
export function remoteClient({ environment }: Io): LatchkeyClient {
  const token = environment["LATCHKEY_TOKEN"] || undefined;
  const url = environment["LATCHKEY_URL"] || DEFAULT_URL;
  return createClient({ url, ...(token !== undefined && { token }) });
}

/** Runs a command against a live instance: a refusal or a missing answer becomes a sentence and exit code 1. */
export async function remotely(io: Io, command: (client: LatchkeyClient) => Promise<void>): Promise<number> {
  try {
    await command(remoteClient(io));
    return 0;
  } catch (error) {
    if (error instanceof LatchkeyProblem) io.complain(describe(error));
    else if (error instanceof LatchkeyUnreachable)
      io.complain(`latchkey: ${error.message} (LATCHKEY_URL says where it is)`);
    else throw error;
    return 1;
  }
}

function describe(problem: LatchkeyProblem): string {
  const fields = problem.errors.map(({ pointer, detail }) => `  ${pointer}: ${detail}`);
  const members = Object.entries(problem.members).map(([name, value]) => `  ${name}: ${String(value)}`);
  const hint = problem.status === 401 ? ["  LATCHKEY_TOKEN holds the operator's credential"] : [];
  const lines = [
    `latchkey: ${problem.message} (${problem.status} ${problem.reason})`,
    problem.detail,
    ...fields,
    ...members,
    ...hint,
  ];
  return lines
    .filter((line) => line !== undefined)
    .map(visible)
    .join("\n");
}
