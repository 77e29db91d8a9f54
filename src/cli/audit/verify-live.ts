import { setTimeout as pause } from "node:timers/promises";
import type { AuditVerification } from "../../client/types.ts";
import { visible } from "../../core/escape-text.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withClient } from "../with-client.ts";

const REPEAT_EVERY_MS = 500;

const OTHER_RUN =
  "the result of the run is not known: another instance or worker has responded, or another run has started; set LATCHKEY_URL to the URL of one instance, and try again";

/** `latchkey audit verify --live`: a live instance verifies the log that it writes. Resolves with the exit code. */
export async function verifyLive(io: Io, { json }: { readonly json?: true }): Promise<number> {
  let isIntact = false;
  const exitCode = await withClient(io, async ({ auditVerification }) => {
    const run = await auditVerification.start();
    let verification = run;
    while (verification.state === "running" && verification.started_at === run.started_at) {
      await pause(REPEAT_EVERY_MS);
      verification = await auditVerification.show();
    }
    // A result of another instance, or of another worker, says nothing about this run.
    if (verification.started_at !== run.started_at) return io.printError(OTHER_RUN);
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
