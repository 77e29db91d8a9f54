import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { LatchkeyClient } from "../../client/client.ts";
import type { IssuedKey, JsonValue, Key, KeyPatch, Registration } from "../../client/types.ts";
import { visible } from "../../core/escape-text.ts";
import { parseDuration } from "../../core/policy/duration.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { keyIdArgument, withClient } from "../with-client.ts";
import { toThumbprint } from "./certificate-option.ts";
import { addCount, addExport, addList, addShow } from "./key-listing.ts";
import { addRevoke } from "./key-revocation.ts";

/** Reports a command's exit code. */
type Finish = (exitCode: number) => void;

/** `latchkey keys …`: works on the registry of a live instance. */
export function addKeysCommand(program: Command, io: Io, finish: Finish): void {
  const keys = program
    .command("keys")
    .description("register, list and revoke keys of a live instance (LATCHKEY_URL, LATCHKEY_TOKEN)");
  for (const add of [addRegister, addList, addCount, addShow, addChanges, addRevoke, addRotate, addExport])
    add(keys, io, finish);
}

interface RegisterOptions {
  readonly name: string;
  readonly role: string;
  readonly owner?: string;
  readonly plan?: string;
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
    .description("register a key; stdout receives only the key, stderr its description")
    .requiredOption("--name <name>", "a human-readable name")
    .requiredOption("--role <role>", "a role of the policy")
    .option("--owner <owner>", "the owner of the key")
    .option("--plan <plan>", "the plan of the key, instead of the plan or the limits of its role")
    .option("--ttl <duration>", "a shorter lifetime than the role's, such as 12h or 7d", toSeconds)
    .option("--scopes <scopes>", "a subset of the role's scopes, comma-separated")
    .option("--metadata <json>", "a JSON object of at most 512 bytes, stored with the key", toMetadata)
    .option(
      "--addresses <networks>",
      "networks from which the key is valid: CIDR, comma-separated, such as 192.0.2.0/24",
    )
    .option(
      "--certificate <file>",
      "the client certificate with which the key is valid: a PEM file",
      toThumbprint,
    )
    .option("--json", "print the whole response as JSON on stdout")
    .action(async (options: RegisterOptions) => {
      const registration = registrationOf(options);
      finish(await issueKey(io, (client) => client.register(registration), options.json));
    });
}

function registrationOf(options: RegisterOptions): Registration {
  const { name, role, owner, plan, ttl, scopes, metadata, addresses, certificate } = options;
  return {
    name,
    key_type: role,
    ...(owner !== undefined && { owner }),
    ...(plan !== undefined && { plan }),
    ...(ttl !== undefined && { ttl }),
    ...(scopes !== undefined && { scopes: scopes.split(",") }),
    ...(metadata !== undefined && { metadata }),
    ...(addresses !== undefined && { addresses: addresses.split(",") }),
    ...(certificate !== undefined && { cnf: { "x5t#S256": certificate } }),
  };
}

/**
 * Prints a new key, which is shown only once. Requests no key if stdout would lose it. Prints the key's id to stderr before
 * the key, so that a lost key can be revoked.
 */
async function issueKey(
  io: Io,
  issue: (client: LatchkeyClient) => Promise<IssuedKey>,
  json: true | undefined,
): Promise<number> {
  const problem = io.outputProblem?.();
  if (problem !== undefined) {
    io.printError(`latchkey: ${problem}: the key would be lost, so no key was requested`);
    return EXIT.usageError;
  }
  return withClient(io, async (client) => {
    const issued = await issue(client);
    const plan = issued.plan === undefined ? "" : `plan ${issued.plan}, `;
    io.printError(
      `${issued.key_id}: ${issued.role}, ${plan}${issued.scopes.join(" ")}, until ${issued.expires_at}. The key is shown only once:`,
    );
    io.print(json ? JSON.stringify(issued) : issued.api_key);
  });
}

/** Commands that change one field of a key and print its new value. */
function addChanges(keys: Command, io: Io, finish: Finish): void {
  const change = async (
    keyId: string,
    patch: KeyPatch,
    json: true | undefined,
    newValue: (key: Key) => string,
  ) =>
    finish(
      await withClient(io, async (client) => {
        const key = await client.keys.change(keyId, patch);
        io.print(json ? JSON.stringify(key) : `${keyId}: ${visible(newValue(key))}`);
      }),
    );
  for (const [name, disabled] of [
    ["disable", true],
    ["enable", false],
  ] as const) {
    keys
      .command(name)
      .addArgument(keyIdArgument())
      .description(disabled ? "deny a key until it is enabled again" : "accept a disabled key again")
      .option("--json", "print the record as JSON")
      .action((keyId: string, { json }: { readonly json?: true }) =>
        change(keyId, { disabled }, json, ({ status }) => status),
      );
  }
  keys
    .command("rename")
    .addArgument(keyIdArgument())
    .argument("<name>", "a human-readable name")
    .description("rename a key")
    .option("--json", "print the record as JSON")
    .action((keyId: string, name: string, { json }: { readonly json?: true }) =>
      change(keyId, { name }, json, (key) => key.name),
    );
}

function addRotate(keys: Command, io: Io, finish: Finish): void {
  keys
    .command("rotate")
    .addArgument(keyIdArgument())
    .description("issue the successor of a key now; stdout receives only the new key")
    .option(
      "--overlap <duration>",
      "how long the old key stays valid, such as 12h; 0s ends it immediately",
      toSeconds,
    )
    .option("--json", "print the whole response as JSON on stdout")
    .action(async (keyId: string, { overlap, json }: { readonly overlap?: number; readonly json?: true }) => {
      const rotation = overlap === undefined ? {} : { overlap };
      finish(await issueKey(io, (client) => client.keys.rotate(keyId, rotation), json));
    });
}

function toSeconds(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new InvalidArgumentError("It must be a duration such as 12h or 7d.");
  return seconds;
}

/** Checks only that the text is a JSON object. The instance validates its members. */
function toMetadata(text: string): Readonly<Record<string, JsonValue>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Handled like other JSON that is not an object.
  }
  throw new InvalidArgumentError('It must be a JSON object, such as {"team":"search"}.');
}
