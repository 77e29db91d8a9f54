import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { ChainBeginning } from "../../audit/verify.ts";
import type { AuditEvents, AuditQuery } from "../../client/types.ts";
import { visible } from "../../core/escape-text.ts";
import { UsageError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withClient } from "../with-client.ts";
import { addAuditExport } from "./export.ts";
import type { FilterOptions } from "./filter-options.ts";
import { filterOf, withFilter } from "./filter-options.ts";
import type { VerifyOptions } from "./verify.ts";
import { parseBeginning, verify } from "./verify.ts";
import { verifyLive } from "./verify-live.ts";

const POLL_EVERY_MS = 1000;
/** The largest page of the API. */
const MAX_LINES = 500;

/** `latchkey audit …`: verifies audit logs and shows the newest events. */
export function addAuditCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const audit = program.command("audit").description("verify audit logs and read the newest events");
  addVerify(audit, io, finish);
  addAuditExport(audit, io, finish);
  withFilter(audit.command("tail"))
    .description("show the newest events in the store of a live instance")
    .option("-n, --lines <n>", "number of events, from 1 to 500", toLines, 20)
    .option("-f, --follow", "wait for new events and print them")
    .option("--json", "print one JSON document per line")
    .action(async (options: TailOptions) => {
      finish(await withClient(io, (client) => tail(client.audit, io, options)));
    });
}

function addVerify(audit: Command, io: Io, finish: (exitCode: number) => void): void {
  audit
    .command("verify [files...]")
    .description(
      "verify the chain of audit logs and name the first invalid line; the key is in AUDIT_KEY or AUDIT_KEY_FILE",
    )
    .option(
      "--checkpoints <file>",
      "log output of the instances, stored elsewhere; the files must contain its checkpoints",
    )
    .option(
      "--from <instance:n>",
      "first line of an instance's chain, if earlier files are archived; `:HMAC` of the line before it may follow; may be repeated",
      toBeginnings,
      [],
    )
    .option("--live", "let a live instance verify the log that it writes; needs no key")
    .option("--json", "print JSON")
    .action(async (files: readonly string[], { live, ...options }: VerifyOptions & { live?: true }) => {
      if ((live ?? false) === files.length > 0) throw new UsageError("give either files or --live");
      finish(live ? await verifyLive(io, options) : await verify(io, files, options));
    });
}

function toBeginnings(text: string, previous: readonly ChainBeginning[]): readonly ChainBeginning[] {
  const beginning = parseBeginning(text);
  if (beginning !== undefined) return [...previous, beginning];
  throw new InvalidArgumentError("It must be INSTANCE:N or INSTANCE:N:HMAC.");
}

function toLines(text: string): number {
  const lines = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (lines >= 1 && lines <= MAX_LINES) return lines;
  throw new InvalidArgumentError("It must be an integer from 1 to 500.");
}

interface TailOptions extends FilterOptions {
  readonly lines: number;
  readonly follow?: true;
  readonly json?: true;
}

type Read = (query: AuditQuery) => Promise<AuditEvents>;

async function tail(read: Read, io: Io, options: TailOptions): Promise<void> {
  const { lines, follow, json } = options;
  const filter = filterOf(options);
  let after: string | undefined;
  for (let limit = lines; ; limit = MAX_LINES) {
    const { events, next_cursor: next } = await read({
      limit,
      ...filter,
      ...(after !== undefined && { after }),
    });
    for (const event of events) io.print(json ? JSON.stringify(event) : formatAuditEvent(event));
    // More events may follow a page whose cursor has moved, so the next request is immediate.
    const isLast = after === undefined || next === after;
    after = next ?? undefined;
    if (!follow) return;
    if (isLast) await pause(POLL_EVERY_MS);
  }
}

function formatAuditEvent(event: AuditEvents["events"][number]): string {
  const subject = event.key_id ?? event.family ?? event.owner ?? event.role ?? "";
  const outcome = event.outcome === "done" ? "" : `denied: ${event.reason ?? ""}`;
  const from = event.address === null ? "" : `from ${event.address}`;
  return [event.time, event.event, subject, `by ${event.actor}`, from, outcome]
    .filter((part) => part !== "")
    .map(visible)
    .join("  ");
}
