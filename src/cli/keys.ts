import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import type { CutOff, IssuedKey, Key, KeyFilter, KeyStatus, Registration } from "../client/types.ts";
import { parseDuration } from "../policy/schema.ts";
import type { Io } from "./io.ts";
import { remotely } from "./remote.ts";
import { formatTable } from "./table.ts";

const STATUSES = [
  "active",
  "superseded",
  "disabled",
  "revoked",
  "expired",
] as const satisfies readonly KeyStatus[];

/** Reports a command's exit code. */
type Finish = (exitCode: number) => void;

/** `latchkey keys …`: the registry of a live instance. */
export function addKeysCommand(program: Command, io: Io, finish: Finish): void {
  const keys = program
    .command("keys")
    .description("register, list and end keys of a live instance (LATCHKEY_URL, LATCHKEY_TOKEN)");
  for (const add of [addRegister, addList, addShow, addSwitch, addRevoke, addRotate, addExport])
    add(keys, io, finish);
}

interface RegisterOptions {
  readonly name: string;
  readonly role: string;
  readonly owner?: string;
  readonly ttl?: number;
  readonly scopes?: string;
  readonly json?: true;
}

function addRegister(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("register")
    .description("register a key; the key alone goes to stdout, what it is to stderr")
    .requiredOption("--name <name>", "for people to read")
    .requiredOption("--role <role>", "a role of the policy")
    .option("--owner <owner>", "whom it belongs to")
    .option("--ttl <duration>", "shorter life than the role's, such as 12h or 7d", toSeconds)
    .option("--scopes <scopes>", "a part of the role's, comma-separated")
    .option("--json", "the whole answer as JSON on stdout")
    .action(async ({ name, role, owner, ttl, scopes, json }: RegisterOptions) => {
      const registration: Registration = {
        name,
        key_type: role,
        ...(owner !== undefined && { owner }),
        ...(ttl !== undefined && { ttl }),
        ...(scopes !== undefined && { scopes: scopes.split(",") }),
      };
      finish(
        await remotely(io, async (client) => printIssued(io, await client.register(registration), json)),
      );
    });
}

function printIssued(io: Io, issued: IssuedKey, json: true | undefined): void {
  if (json) {
    io.print(JSON.stringify(issued));
    return;
  }
  io.complain(
    `${issued.key_id}: ${issued.role}, ${issued.scopes.join(" ")}, until ${issued.expires_at}. The key, shown this once:`,
  );
  io.print(issued.api_key);
}

interface ListOptions {
  readonly role?: string;
  readonly owner?: string;
  readonly family?: string;
  readonly status?: KeyStatus;
  readonly name?: string;
  readonly expiringBefore?: string;
  readonly json?: true;
}

function addFilters(command: Command): Command {
  return command
    .option("--role <role>", "keys of this role")
    .option("--owner <owner>", "keys of this owner")
    .option("--family <family>", "keys of this family")
    .addOption(new Option("--status <status>", "keys with this status").choices(STATUSES))
    .option("--name <prefix>", "keys whose name begins so")
    .option("--expiring-before <time>", "keys that end before, RFC 3339");
}

function toFilter({ role, owner, family, status, name, expiringBefore }: ListOptions): KeyFilter {
  return {
    limit: 500,
    ...(role !== undefined && { role }),
    ...(owner !== undefined && { owner }),
    ...(family !== undefined && { family }),
    ...(status !== undefined && { status }),
    ...(name !== undefined && { name_prefix: name }),
    ...(expiringBefore !== undefined && { expiring_before: expiringBefore }),
  };
}

function addList(keys: Command, io: Io, finish: Finish): void {
  addFilters(keys.command("list").description("list keys, oldest first"))
    .option("--json", "one JSON record a line")
    .action(async (options: ListOptions) => {
      const exitCode = await remotely(io, async (client) => {
        const found: Key[] = [];
        for await (const key of client.keys.all(toFilter(options))) {
          if (options.json) io.print(JSON.stringify(key));
          else found.push(key);
        }
        if (!options.json) io.print(keyTable(found));
      });
      finish(exitCode);
    });
}

function addExport(keys: Command, io: Io, finish: Finish): void {
  addFilters(
    keys.command("export").description("write the records of keys, one JSON a line; never the keys"),
  ).action(async (options: ListOptions) => {
    const exitCode = await remotely(io, async (client) => {
      for await (const key of client.keys.all(toFilter(options))) io.print(JSON.stringify(key));
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

function addShow(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("show <key_id>")
    .description("show the record of a key")
    .option("--json", "as JSON")
    .action(async (keyId: string, { json }: { readonly json?: true }) => {
      finish(await remotely(io, async (client) => printKey(io, await client.keys.show(keyId), json)));
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

function addSwitch(keys: Command, io: Io, finish: Finish): void {
  for (const [name, disabled] of [
    ["disable", true],
    ["enable", false],
  ] as const) {
    keys
      .command(`${name} <key_id>`)
      .description(disabled ? "refuse a key until it is enabled again" : "accept a disabled key again")
      .action(async (keyId: string) => {
        finish(
          await remotely(io, async (client) => {
            const { status } = await client.keys.change(keyId, { disabled });
            io.print(`${keyId}: ${status}`);
          }),
        );
      });
  }
}

interface RevokeOptions {
  readonly family?: string;
  readonly owner?: string;
  readonly issuedBefore?: string;
  readonly role?: string;
}

function addRevoke(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("revoke [key_id]")
    .description("end one key, a family, all keys of an owner, or all issued before a moment; for good")
    .option("--family <family>", "every key of one registration")
    .option("--owner <owner>", "every key that the owner has now")
    .option(
      "--issued-before <time>",
      "every key issued before (RFC 3339), with --owner or --role only theirs",
    )
    .option("--role <role>", "with --issued-before")
    .action(async (keyId: string | undefined, options: RevokeOptions, command: Command) => {
      const { family, owner, issuedBefore, role } = options;
      const given = [keyId, family, owner].filter((value) => value !== undefined);
      const wrong =
        issuedBefore === undefined
          ? given.length !== 1 || role !== undefined
          : keyId !== undefined || family !== undefined;
      if (wrong) command.error("error: give one of a key id, --family, --owner and --issued-before");
      const exitCode = await remotely(io, async (client) => {
        if (issuedBefore !== undefined) await client.keys.revokeIssuedBefore(cutOffOf(issuedBefore, options));
        else if (keyId !== undefined) await client.keys.revoke(keyId);
        else if (family !== undefined) await client.keys.revokeFamily(family);
        else if (owner !== undefined) await client.keys.revokeOwner(owner);
        io.print(
          `revoked: ${issuedBefore === undefined ? given[0] : `what was issued before ${issuedBefore}`}`,
        );
      });
      finish(exitCode);
    });
}

function cutOffOf(before: string, { role, owner }: RevokeOptions): CutOff {
  return { before, ...(role !== undefined && { role }), ...(owner !== undefined && { owner }) };
}

function addRotate(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("rotate <key_id>")
    .description("give a key its successor now; the new key alone goes to stdout")
    .option("--overlap <duration>", "how long the old key stays good, such as 12h; 0s ends it now", toSeconds)
    .option("--json", "the whole answer as JSON on stdout")
    .action(async (keyId: string, { overlap, json }: { readonly overlap?: number; readonly json?: true }) => {
      const rotation = overlap === undefined ? {} : { overlap };
      finish(
        await remotely(io, async (client) =>
          printIssued(io, await client.keys.rotate(keyId, rotation), json),
        ),
      );
    });
}

function toSeconds(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new InvalidArgumentError("It takes a duration such as 12h or 7d.");
  return seconds;
}
