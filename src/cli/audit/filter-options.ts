import type { Command } from "commander";
import type { AuditExportFilter } from "../../client/audit-calls.ts";

export interface FilterOptions extends Omit<AuditExportFilter, "key_id"> {
  readonly keyId?: string;
}

/** The options that choose events. */
export function withFilter(command: Command): Command {
  return command
    .option("--event <name>", "only events of this name, such as key_revoked")
    .option("--outcome <outcome>", "only events with this outcome: `done` or `refused`")
    .option("--actor <actor>", "only events of this actor: `admin:…`, `key:…` or `anonymous`")
    .option("--key-id <key_id>", "only events of this key")
    .option("--family <family>", "only events of this family")
    .option("--owner <owner>", "only events of this owner's keys")
    .option("--role <role>", "only events of keys of this role")
    .option("--from <time>", "only events from this date or time on (RFC 3339)")
    .option("--to <time>", "only events before this date or time (RFC 3339)");
}

export function filterOf({ keyId, ...fields }: FilterOptions): AuditExportFilter {
  const { event, outcome, actor, family, owner, role, from, to } = fields;
  const filter = { event, outcome, actor, family, owner, role, from, to, key_id: keyId };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}
