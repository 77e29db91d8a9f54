import { setTimeout as pause } from "node:timers/promises";
import type { AuditVerification } from "../../client/types.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { visible } from "../table.ts";
import { withClient } from "../with-client.ts";

const REPEAT_EVERY_MS = 500;

/** `latchkey audit verify --live`: a live instance verifies the log that it writes. Resolves with the exit code. */
export async function verifyLive(io: Io, { json }: { readonly json?: true }): Promise<number> {
  let isIntact = false;
  const exitCode = await withClient(io, async ({ auditVerification }) => {
    let verification = await auditVerification.start();
    while (verification.state === "running") {
      await pause(REPEAT_EVERY_MS);
      verification = await auditVerification.show();
    }
    isIntact = verification.state === "intact";
    if (json) io.print(JSON.stringify(verification));
    else if (isIntact) io.print(describeIntact(verification));
    else io.printError(visible(describeProblem(verification)));
  });
  return exitCode === EXIT.done && !isIntact ? EXIT.failed : exitCode;
}

function describeIntact({ lines, files, chains }: AuditVerification): string {
  const list = chains.map(
    ({ instance, first, last, hmac }) =>
      `${visible(instance)}: lines ${first} to ${last} are intact; compare the last HMAC with a checkpoint: ${hmac}`,
  );
  return [...list, `${lines} lines in ${files} files verified: none changed, none missing in between`].join(
    "\n",
  );
}

function describeProblem({ state, file, line, problem }: AuditVerification): string {
  if (state === "off")
    return "the instance writes no file (AUDIT_FILE is off): give the files in which its output is collected";
  return file === null ? (problem ?? "") : `${file}:${line}: ${problem}`;
}
