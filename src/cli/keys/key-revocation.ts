import type { Command } from "commander";
import type { LatchkeyClient } from "../../client/client.ts";
import type { CountedKeys, CutOff } from "../../client/types.ts";
import type { Io } from "../io.ts";
import { keyIdArgument, nameArgument, withClient } from "../with-client.ts";

interface RevokeOptions {
  readonly family?: string;
  readonly owner?: string;
  readonly issuedBefore?: string;
  readonly role?: string;
  readonly withoutRecord?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

export function addRevoke(keys: Command, io: Io, finish: (exitCode: number) => void): void {
  keys
    .command("revoke")
    .addArgument(keyIdArgument("[key_id]"))
    .description(
      "permanently revoke one key, a family, all keys of an owner, or all keys issued before a time",
    )
    .option("--family <family>", "every key of one registration", nameArgument)
    .option("--owner <owner>", "every key that the owner has now", nameArgument)
    .option(
      "--issued-before <time>",
      "every key issued before this time (RFC 3339); --owner or --role limits it to their keys",
    )
    .option("--role <role>", "only keys of this role; requires --issued-before")
    .option(
      "--without-record",
      "with a key id: revoke the key even if it has no record, because Redis may have lost it",
    )
    .option("--dry-run", "revoke nothing; print how many keys it would affect, and their last use")
    .option("--json", "print the revoked keys as JSON")
    .action(async (keyId: string | undefined, options: RevokeOptions, command: Command) => {
      if (!namesOneTarget(keyId, options))
        command.error("error: give one of a key id, --family, --owner and --issued-before");
      const { family, owner, issuedBefore, role, json } = options;
      const exitCode = await withClient(io, async (client) => {
        if (options.dryRun) return printEffect(io, client, keyId, options);
        await revoke(client, keyId, options);
        const revoked = { key_id: keyId, family, owner, issued_before: issuedBefore, role };
        const target =
          issuedBefore === undefined ? (keyId ?? family ?? owner) : `keys issued before ${issuedBefore}`;
        io.print(json ? JSON.stringify({ revoked }) : `revoked: ${target}`);
      });
      finish(exitCode);
    });
}

function namesOneTarget(
  keyId: string | undefined,
  { family, owner, issuedBefore, role }: RevokeOptions,
): boolean {
  if (issuedBefore !== undefined) return keyId === undefined && family === undefined;
  return role === undefined && [keyId, family, owner].filter((value) => value !== undefined).length === 1;
}

async function revoke(
  client: LatchkeyClient,
  keyId: string | undefined,
  options: RevokeOptions,
): Promise<void> {
  const { family, owner, issuedBefore } = options;
  if (issuedBefore !== undefined) await client.keys.revokeIssuedBefore(cutOffOf(issuedBefore, options));
  else if (keyId !== undefined) await client.keys.revoke(keyId, options);
  else if (family !== undefined) await client.keys.revokeFamily(family);
  else if (owner !== undefined) await client.keys.revokeOwner(owner);
}

/** Prints what the revocation would affect now. */
async function printEffect(
  io: Io,
  client: LatchkeyClient,
  keyId: string | undefined,
  options: RevokeOptions,
): Promise<void> {
  const print = (affected: object, text: string) =>
    io.print(options.json ? JSON.stringify({ would_revoke: affected }) : `would revoke ${text}`);
  if (keyId !== undefined) {
    const key = await client.keys.show(keyId);
    return print(key, `${keyId}: ${key.status}, last used ${key.last_used_at ?? "never"}`);
  }
  const totals = await client.keys.total(affectedBy(options));
  const { live, keys, last_used_at: lastUse } = totals;
  print(totals, `${live} live keys of ${keys}, last used ${lastUse ?? "never"}`);
}

function affectedBy({ family, owner, issuedBefore, role }: RevokeOptions): CountedKeys {
  return {
    ...(family !== undefined && { family }),
    ...(owner !== undefined && { owner }),
    ...(role !== undefined && { role }),
    ...(issuedBefore !== undefined && { issued_before: issuedBefore }),
  };
}

function cutOffOf(before: string, { role, owner }: RevokeOptions): CutOff {
  return { before, ...(role !== undefined && { role }), ...(owner !== undefined && { owner }) };
}
