import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { ChainBeginning } from "../../audit/verify.ts";
import type { AuditEvents, AuditQuery } from "../../client/types.ts";
import type { Io } from "../io.ts";
import { visible } from "../table.ts";
import { withClient } from "../with-client.ts";
import type { VerifyOptions } from "./verify.ts";
import { parseBeginning, verify } from "./verify.ts";

const LOOK_EVERY_MS = 1000;
/** As many as one answer holds. */
const MAX_LINES = 500;

/** `latchkey audit …`: whether nobody has changed the log, and what has happened lately. */
export function addAuditCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const audit = program.command("audit").description("check audit logs, and read the newest events");
  audit
    .command("verify <files...>")
    .description("names the first line that does not fit; the key comes from AUDIT_KEY or AUDIT_KEY_FILE")
    .option(
      "--checkpoints <file>",
      "output of instances, kept elsewhere, whose checkpoints must be in the files",
    )
    .option(
      "--from <instance:n>",
      "where that chain begins in the files, if earlier ones were put away; may be given for several; `:HMAC` of the line before may follow",
      toBeginnings,
      [],
    )
    .option("--json", "as JSON")
    .action(async (files: readonly string[], options: VerifyOptions) =>
      finish(await verify(io, files, options)),
    );
  audit
    .command("tail")
    .description("the newest events of a live instance's store")
    .option("-n, --lines <n>", "how many, from 1 to 500", toLines, 20)
    .option("-f, --follow", "go on with those that come")
    .option("--event <name>", "only events of this name, such as key_revoked")
    .option("--outcome <outcome>", "only those that were `done`, or `refused`")
    .option("--actor <actor>", "only what this one did: `admin:…`, `key:…` or `anonymous`")
    .option("--key-id <key_id>", "only events of this key")
    .option("--family <family>", "only events of this family")
    .option("--owner <owner>", "only events of this owner's keys")
    .option("--role <role>", "only events of keys of this role")
    .option("--json", "one JSON a line")
    .action(async (options: TailOptions) => {
      finish(await withClient(io, (client) => tail(client.audit, io, options)));
    });
}

function toBeginnings(text: string, before: readonly ChainBeginning[]): readonly ChainBeginning[] {
  const beginning = parseBeginning(text);
  if (beginning !== undefined) return [...before, beginning];
  throw new InvalidArgumentError("It takes INSTANCE:N, or INSTANCE:N:HMAC.");
}

function toLines(text: string): number {
  const lines = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (lines >= 1 && lines <= MAX_LINES) return lines;
  throw new InvalidArgumentError("It takes a whole number from 1 to 500.");
}

interface TailOptions extends Omit<AuditQuery, "key_id" | "after" | "limit"> {
  readonly lines: number;
  readonly keyId?: string;
  readonly follow?: true;
  readonly json?: true;
}

type Read = (query: AuditQuery) => Promise<AuditEvents>;

async function tail(read: Read, io: Io, options: TailOptions): Promise<void> {
  const { lines, follow, json, keyId, ...fields } = options;
  const filter = { ...fields, ...(keyId !== undefined && { key_id: keyId }) };
  let after: string | undefined;
  for (let limit = lines; ; limit = MAX_LINES) {
    const { events, next_cursor: next } = await read({
      limit,
      ...filter,
      ...(after !== undefined && { after }),
    });
    for (const event of events) io.print(json ? JSON.stringify(event) : formatAuditEvent(event));
    // After a full page there may be more.
    const all = after === undefined || next === after;
    after = next ?? undefined;
    if (!follow) return;
    if (all) await pause(LOOK_EVERY_MS);
  }
}

function formatAuditEvent(event: AuditEvents["events"][number]): string {
  const about = event.key_id ?? event.family ?? event.owner ?? event.role ?? "";
  const outcome = event.outcome === "done" ? "" : `refused: ${event.reason ?? ""}`;
  const from = event.address === null ? "" : `from ${event.address}`;
  return [event.time, event.event, about, `by ${event.actor}`, from, outcome]
    .filter((part) => part !== "")
    .map(visible)
    .join("  ");
}
