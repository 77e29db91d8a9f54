import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { LatchkeyClient } from "../../client/client.ts";
import type { CutOff, IssuedKey, JsonValue, Key, KeyPatch, Registration } from "../../client/types.ts";
import { parseDuration } from "../../core/policy/duration.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { visible } from "../table.ts";
import { keyIdArgument, nameArgument, withClient } from "../with-client.ts";
import { toThumbprint } from "./certificate-option.ts";
import { addExport, addList, addShow } from "./key-listing.ts";

/** Reports a command's exit code. */
type Finish = (exitCode: number) => void;

/** `latchkey keys …`: the registry of a live instance. */
export function addKeysCommand(program: Command, io: Io, finish: Finish): void {
  const keys = program
    .command("keys")
    .description("register, list and end keys of a live instance (LATCHKEY_URL, LATCHKEY_TOKEN)");
  for (const add of [addRegister, addList, addShow, addChanges, addRevoke, addRotate, addExport])
    add(keys, io, finish);
}

interface RegisterOptions {
  readonly name: string;
  readonly role: string;
  readonly owner?: string;
  readonly ttl?: number;
  readonly scopes?: string;
  readonly metadata?: Readonly<Record<string, JsonValue>>;
  readonly addresses?: string;
  readonly certificate?: string;
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
    .option("--metadata <json>", "kept with it: a JSON object of at most 512 bytes", toMetadata)
    .option("--addresses <networks>", "taken from there alone: CIDR, comma-separated, such as 192.0.2.0/24")
    .option("--certificate <file>", "taken with this client certificate alone: a PEM file", toThumbprint)
    .option("--json", "the whole answer as JSON on stdout")
    .action(async (options: RegisterOptions) => {
      const registration = registrationOf(options);
      finish(await issuing(io, (client) => client.register(registration), options.json));
    });
}

function registrationOf(options: RegisterOptions): Registration {
  const { name, role, owner, ttl, scopes, metadata, addresses, certificate } = options;
  return {
    name,
    key_type: role,
    ...(owner !== undefined && { owner }),
    ...(ttl !== undefined && { ttl }),
    ...(scopes !== undefined && { scopes: scopes.split(",") }),
    ...(metadata !== undefined && { metadata }),
    ...(addresses !== undefined && { addresses: addresses.split(",") }),
    ...(certificate !== undefined && { cnf: { "x5t#S256": certificate } }),
  };
}

/**
 * A key is shown this once, and is lost where nobody takes it: nothing is asked for where that is known before, and its id is
 * on stderr before the key is on stdout, so that it can be revoked.
 */
async function issuing(
  io: Io,
  issue: (client: LatchkeyClient) => Promise<IssuedKey>,
  json: true | undefined,
): Promise<number> {
  const problem = io.outputProblem?.();
  if (problem !== undefined) {
    io.printError(`latchkey: ${problem}: the key would be lost, so none was asked for`);
    return EXIT.usageError;
  }
  return withClient(io, async (client) => {
    const issued = await issue(client);
    io.printError(
      `${issued.key_id}: ${issued.role}, ${issued.scopes.join(" ")}, until ${issued.expires_at}. The key, shown this once:`,
    );
    io.print(json ? JSON.stringify(issued) : issued.api_key);
  });
}

/** Each changes one thing of a key, and says what is so now. */
function addChanges(keys: Command, io: Io, finish: Finish): void {
  const change = async (keyId: string, patch: KeyPatch, json: true | undefined, told: (key: Key) => string) =>
    finish(
      await withClient(io, async (client) => {
        const key = await client.keys.change(keyId, patch);
        io.print(json ? JSON.stringify(key) : `${keyId}: ${visible(told(key))}`);
      }),
    );
  for (const [name, disabled] of [
    ["disable", true],
    ["enable", false],
  ] as const) {
    keys
      .command(name)
      .addArgument(keyIdArgument())
      .description(disabled ? "refuse a key until it is enabled again" : "accept a disabled key again")
      .option("--json", "the record as JSON")
      .action((keyId: string, { json }: { readonly json?: true }) =>
        change(keyId, { disabled }, json, ({ status }) => status),
      );
  }
  keys
    .command("rename")
    .addArgument(keyIdArgument())
    .argument("<name>", "for people to read")
    .description("give a key another name")
    .option("--json", "the record as JSON")
    .action((keyId: string, name: string, { json }: { readonly json?: true }) =>
      change(keyId, { name }, json, (key) => key.name),
    );
}

interface RevokeOptions {
  readonly family?: string;
  readonly owner?: string;
  readonly issuedBefore?: string;
  readonly role?: string;
  readonly withoutRecord?: true;
  readonly json?: true;
}

function addRevoke(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("revoke")
    .addArgument(keyIdArgument("[key_id]"))
    .description("end one key, a family, all keys of an owner, or all issued before a moment; for good")
    .option("--family <family>", "every key of one registration", nameArgument)
    .option("--owner <owner>", "every key that the owner has now", nameArgument)
    .option(
      "--issued-before <time>",
      "every key issued before (RFC 3339), with --owner or --role only theirs",
    )
    .option("--role <role>", "with --issued-before")
    .option(
      "--without-record",
      "with a key id: also where there is no record of it, which Redis may have lost",
    )
    .option("--json", "what has ended, as JSON")
    .action(async (keyId: string | undefined, options: RevokeOptions, command: Command) => {
      const { family, owner, issuedBefore, role } = options;
      const given = [keyId, family, owner].filter((value) => value !== undefined);
      const wrong =
        issuedBefore === undefined
          ? given.length !== 1 || role !== undefined
          : keyId !== undefined || family !== undefined;
      if (wrong) command.error("error: give one of a key id, --family, --owner and --issued-before");
      const exitCode = await withClient(io, async (client) => {
        if (issuedBefore !== undefined) await client.keys.revokeIssuedBefore(cutOffOf(issuedBefore, options));
        else if (keyId !== undefined) await client.keys.revoke(keyId, options);
        else if (family !== undefined) await client.keys.revokeFamily(family);
        else if (owner !== undefined) await client.keys.revokeOwner(owner);
        const ended = { key_id: keyId, family, owner, issued_before: issuedBefore, role };
        const what = issuedBefore === undefined ? given[0] : `what was issued before ${issuedBefore}`;
        io.print(options.json ? JSON.stringify({ revoked: ended }) : `revoked: ${what}`);
      });
      finish(exitCode);
    });
}

function cutOffOf(before: string, { role, owner }: RevokeOptions): CutOff {
  return { before, ...(role !== undefined && { role }), ...(owner !== undefined && { owner }) };
}

function addRotate(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("rotate")
    .addArgument(keyIdArgument())
    .description("give a key its successor now; the new key alone goes to stdout")
    .option("--overlap <duration>", "how long the old key stays good, such as 12h; 0s ends it now", toSeconds)
    .option("--json", "the whole answer as JSON on stdout")
    .action(async (keyId: string, { overlap, json }: { readonly overlap?: number; readonly json?: true }) => {
      const rotation = overlap === undefined ? {} : { overlap };
      finish(await issuing(io, (client) => client.keys.rotate(keyId, rotation), json));
    });
}

function toSeconds(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new InvalidArgumentError("It takes a duration such as 12h or 7d.");
  return seconds;
}

/** What is wrong with its members the instance says. */
function toMetadata(text: string): Readonly<Record<string, JsonValue>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Neither is an object.
  }
  throw new InvalidArgumentError('It takes a JSON object, such as {"team":"search"}.');
}
