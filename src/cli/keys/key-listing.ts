import type { Command } from "commander";
import { Option } from "commander";
import { filterOf, listQuery } from "../../api/admin/key-query.ts";
import { keyBody } from "../../api/keys/responses.ts";
import type { KeyTotals } from "../../client/key-totals.ts";
import type { Key, KeyFilter, KeyStatus } from "../../client/types.ts";
import type { KeyFilter as StoredFilter } from "../../core/keys/key-filter.ts";
import type { ListDeps } from "../../core/keys/key-listing.ts";
import { listKeys } from "../../core/keys/key-listing.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { progressCount } from "../progress.ts";
import { formatTable } from "../table.ts";
import { keyIdArgument, withClient } from "../with-client.ts";
import { withOfflineStore } from "../with-offline-store.ts";

const STATUSES = [
  "active",
  "superseded",
  "disabled",
  "revoked",
  "expired",
] as const satisfies readonly KeyStatus[];

/** Keys per page: the largest page of the API. */
const PAGE_SIZE = 500;

type Finish = (exitCode: number) => void;

interface ListOptions {
  readonly role?: string;
  readonly owner?: string;
  readonly family?: string;
  readonly status?: KeyStatus;
  readonly plan?: string;
  readonly name?: string;
  readonly search?: string;
  readonly issuedBefore?: string;
  readonly expiringBefore?: string;
  readonly unusedSince?: string;
  readonly json?: true;
}

function addFilters(command: Command): Command {
  return command
    .option("--role <role>", "only keys of this role")
    .option("--owner <owner>", "only keys of this owner")
    .option("--family <family>", "only keys of this family")
    .addOption(new Option("--status <status>", "only keys with this status").choices(STATUSES))
    .option("--plan <plan>", "only keys that were given this plan")
    .option("--name <prefix>", "only keys whose name starts with this prefix")
    .option(
      "--search <text>",
      "only keys whose id, name, owner or family contains this text; case is ignored",
    )
    .option("--issued-before <time>", "only keys that were issued before this time (RFC 3339)")
    .option("--expiring-before <time>", "only keys that expire before this time (RFC 3339)")
    .option(
      "--unused-since <time>",
      "only keys that were last used, or issued and never used, before this time (RFC 3339)",
    );
}

function toFilter(options: ListOptions): Omit<KeyFilter, "limit" | "cursor"> {
  const { role, owner, family, status, plan, name, search } = options;
  const { issuedBefore, expiringBefore, unusedSince } = options;
  return {
    ...(role !== undefined && { role }),
    ...(owner !== undefined && { owner }),
    ...(family !== undefined && { family }),
    ...(status !== undefined && { status }),
    ...(plan !== undefined && { plan }),
    ...(name !== undefined && { name_prefix: name }),
    ...(search !== undefined && { search }),
    ...(issuedBefore !== undefined && { issued_before: issuedBefore }),
    ...(expiringBefore !== undefined && { expiring_before: expiringBefore }),
    ...(unusedSince !== undefined && { unused_since: unusedSince }),
  };
}

export function addList(keys: Command, io: Io, finish: Finish): void {
  addFilters(keys.command("list").description("list keys, oldest first"))
    .option("--json", "print one JSON record per line")
    .action(async (options: ListOptions) => {
      const exitCode = await withClient(io, async (client) => {
        const found: Key[] = [];
        for await (const key of client.keys.all({ ...toFilter(options), limit: PAGE_SIZE })) {
          if (options.json) io.print(JSON.stringify(key));
          else found.push(key);
        }
        if (!options.json) io.print(keyTable(found));
      });
      finish(exitCode);
    });
}

function keyTable(keys: readonly Key[]): string {
  if (keys.length === 0) return "No keys.";
  const rows = keys.map((key) => [
    key.key_id,
    key.name,
    key.owner ?? "-",
    key.status,
    key.expires_at ?? "never",
    key.last_used_at ?? "never",
  ]);
  return formatTable(["key id", "name", "owner", "status", "expires", "last used"], rows);
}

export function addCount(keys: Command, io: Io, finish: Finish): void {
  addFilters(keys.command("count").description("count keys by status, with their last use"))
    .option("--json", "print JSON")
    .action(async (options: ListOptions) => {
      const exitCode = await withClient(io, async (client) => {
        const totals = await client.keys.total(toFilter(options));
        io.print(options.json ? JSON.stringify(totals) : countTable(totals));
      });
      finish(exitCode);
    });
}

function countTable({ keys, live, by_status: byStatus, last_used_at: lastUse }: KeyTotals): string {
  const rows = Object.entries({ keys, live, ...byStatus }).map(([name, count]) => [name, String(count)]);
  return formatTable(["keys", "count"], [...rows, ["last used", lastUse ?? "never"]]);
}

export function addShow(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("show")
    .addArgument(keyIdArgument())
    .description("show the record of a key")
    .option("--json", "print JSON")
    .action(async (keyId: string, { json }: { readonly json?: true }) => {
      finish(await withClient(io, async (client) => printKey(io, await client.keys.show(keyId), json)));
    });
}

function printKey(io: Io, key: Key, json: true | undefined): void {
  if (json) {
    io.print(JSON.stringify(key));
    return;
  }
  const rows = Object.entries(key).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  io.print(formatTable(["field", "value"], rows));
}

export function addExport(keys: Command, io: Io, finish: Finish): void {
  addFilters(
    keys
      .command("export")
      .description(
        "write the records of keys, not the keys themselves, as one JSON document per line; without LATCHKEY_URL it reads the store directly",
      ),
  ).action(async (options: ListOptions) => {
    const filter = toFilter(options);
    const counter = progressCount(io, "keys");
    const write: Write = async (found) => {
      for await (const key of found) {
        io.print(JSON.stringify(key));
        counter.one();
      }
    };
    const exitCode = io.environment["LATCHKEY_URL"]
      ? await withClient(io, (client) => write(client.keys.all({ ...filter, limit: PAGE_SIZE })))
      : await exportOffline(io, filter, write);
    counter.end();
    finish(exitCode);
  });
}

type Write = (keys: AsyncIterable<object>) => Promise<void>;

/** Exports from the store of the settings. */
async function exportOffline(io: Io, filter: KeyFilter, write: Write): Promise<number> {
  const parsed = listQuery.safeParse(filter);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues)
      io.printError(`latchkey: --${optionOf(String(path[0]))}: ${message}`);
    return EXIT.usageError;
  }
  return withOfflineStore(io, (registry) => write(storedKeys(registry, filterOf(parsed.data))));
}

function optionOf(member: string): string {
  return member === "name_prefix" ? "name" : member.replaceAll("_", "-");
}

async function* storedKeys(registry: ListDeps, filter: StoredFilter) {
  for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
    const found = await listKeys(registry, filter, { limit: PAGE_SIZE, ...(cursor && { cursor }) });
    if (found === "cursor_unknown") throw new Error("the store rejects a cursor that it returned");
    yield* found.views.map(keyBody);
    cursor = found.nextCursor;
  }
}
