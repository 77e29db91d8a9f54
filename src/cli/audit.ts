import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { AuditEvents } from "../client/types.ts";
import { verifyAudit } from "../telemetry/audit-verify.ts";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { remotely } from "./remote.ts";
import { visible } from "./table.ts";

const LOOK_EVERY_MS = 1000;

/** `latchkey audit …`: whether nobody has changed the log, and what has happened lately. */
export function addAuditCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const audit = program.command("audit").description("check audit logs, and read the newest events");
  audit
    .command("verify <files...>")
    .description("names the first line that does not fit; the key comes from AUDIT_KEY or AUDIT_KEY_FILE")
    .option("--json", "as JSON")
    .action((files: readonly string[], { json }: { readonly json?: true }) =>
      finish(verify(io, files, json)),
    );
  audit
    .command("tail")
    .description("the newest events of a live instance's store")
    .option("-n, --lines <n>", "how many", Number, 20)
    .option("-f, --follow", "go on with those that come")
    .option("--json", "one JSON a line")
    .action(async (options: TailOptions) => {
      finish(await remotely(io, (client) => tail(client.audit, io, options)));
    });
}

function verify(io: Io, names: readonly string[], json: true | undefined): number {
  const { AUDIT_KEY, AUDIT_KEY_FILE } = io.environment;
  const key =
    AUDIT_KEY ||
    (AUDIT_KEY_FILE && existsSync(AUDIT_KEY_FILE) ? readFileSync(AUDIT_KEY_FILE, "utf8").trim() : "");
  const missing = names.filter((name) => !existsSync(name));
  if (!key || missing.length > 0) {
    io.complain(
      key
        ? `${missing[0]}: there is no such file`
        : "AUDIT_KEY or AUDIT_KEY_FILE must give the key of the chain",
    );
    return EXIT.calledWrongly;
  }
  const verified = verifyAudit(
    names.map((name) => ({ name, text: readFileSync(name, "utf8") })),
    key,
  );
  if (json) {
    io.print(JSON.stringify(verified));
    return verified.ok ? EXIT.done : EXIT.failed;
  }
  if (!verified.ok) {
    io.complain(`${verified.file}:${verified.line}: ${verified.why}`);
    return EXIT.failed;
  }
  for (const { instance, first, last, hmac } of verified.chains)
    io.print(`${instance}: ${first} to ${last} unbroken; compare the end with a checkpoint: ${hmac}`);
  io.print(`${verified.lines} lines, nothing changed, nothing missing between them`);
  return EXIT.done;
}

interface TailOptions {
  readonly lines: number;
  readonly follow?: true;
  readonly json?: true;
}

type Read = (query: { readonly after?: string; readonly limit: number }) => Promise<AuditEvents>;

async function tail(read: Read, io: Io, { lines, follow, json }: TailOptions): Promise<void> {
  let after: string | undefined;
  for (;;) {
    const { events } = await read({
      limit: after === undefined ? lines : 500,
      ...(after !== undefined && { after }),
    });
    for (const event of events) io.print(json ? JSON.stringify(event) : inWords(event));
    after = events.at(-1)?.cursor ?? after;
    if (!follow) return;
    await pause(LOOK_EVERY_MS);
  }
}

function inWords(event: AuditEvents["events"][number]): string {
  const about = event.key_id ?? event.family ?? event.owner ?? event.role ?? "";
  const outcome = event.outcome === "done" ? "" : `refused: ${event.reason ?? ""}`;
  const from = event.address === null ? "" : `from ${event.address}`;
  return [event.time, event.event, about, `by ${event.actor}`, from, outcome]
    .filter((part) => part !== "")
    .map(visible)
    .join("  ");
}
