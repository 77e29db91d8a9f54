import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { algorithmName } from "../../core/policy/issuer.ts";
import { SIGNING_ALGORITHMS } from "../../jwt/jwk.ts";
import type { SigningAlgorithm } from "../../jwt/key-ring.ts";
import { newJwk } from "../../jwt/new-key.ts";
import type { Io } from "../io.ts";
import type { KeyEntry, Keys, Retirement, RotationResult } from "./key-rotation.ts";
import { addKey, promoteKey, retireKey } from "./key-rotation.ts";
import { addList } from "./list.ts";
import {
  addSecret,
  asVariables,
  demoteSigningSecret,
  isSecretKid,
  promoteSecret,
  retireSecret,
} from "./secret-rotation.ts";
import { runRotation, withVariables } from "./session.ts";

type Finish = (exitCode: number) => void;

/** `latchkey secrets …`: the three moves of a rotation, each to be rolled out to every instance before the next. */
export function addSecretsCommand(program: Command, io: Io, finish: Finish): void {
  const secrets = program
    .command("secrets")
    .description(
      "rotate what signs keys: in JWT_KEYS_FILE, or as variables to set (docs/operations/operations.md)",
    );
  addAdd(secrets, io, finish);
  addPromote(secrets, io, finish);
  addRetire(secrets, io, finish);
  addList(secrets, io, finish);
}

interface AddOptions {
  readonly alg?: SigningAlgorithm;
  readonly kid?: string;
  readonly another?: true;
  readonly json?: true;
}

function addAdd(secrets: Command, io: Io, finish: Finish): void {
  secrets
    .command("add")
    .description("make a key that verifies; as long as one waits for its promotion nothing is added")
    .addOption(new Option("--alg <alg>", "ES256, or what the file has").choices(SIGNING_ALGORITHMS))
    .option("--kid <kid>", "its name; made up otherwise")
    .option("--another", "although one waits")
    .option("--json", "as JSON")
    .action(async (options: AddOptions) => {
      finish(
        await runRotation(io, options, async (world) => {
          const another = options.another === true || options.kid !== undefined;
          if (world.file !== undefined) return world.edit((known) => added(known, options, another));
          if ((options.alg ?? "HS256") !== "HS256" || options.kid !== undefined)
            return { kind: "refused", message: "JWT_KEYS_FILE names the file where such a key is to stand" };
          return withVariables(addSecret(world.secrets, randomBytes(32).toString("base64url"), another));
        }),
      );
    });
}

function added(known: Keys, { alg, kid }: AddOptions, another: boolean): RotationResult {
  const wanted = alg ?? algorithmOf(known.keys);
  // The schema of the file takes the members that a new key has.
  const entry = newJwk(wanted, kid ?? newKid(known.nowMs)) as KeyEntry;
  return addKey(known, entry, another);
}

function algorithmOf(keys: readonly KeyEntry[]): SigningAlgorithm {
  const known = algorithmName(keys[0]?.alg ?? "");
  return SIGNING_ALGORITHMS.find((alg) => alg === known) ?? "ES256";
}

function newKid(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 10)}-${randomBytes(3).toString("hex")}`;
}

function addPromote(secrets: Command, io: Io, finish: Finish): void {
  secrets
    .command("promote [kid]")
    .description("make the key sign that waits, or the one that is named; the former one verifies on")
    .option("--json", "as JSON")
    .action(async (kid: string | undefined, options: { readonly json?: true }) => {
      finish(
        await runRotation(io, options, async (world) => {
          if (world.file === undefined || isSecretKid(world.secrets, kid))
            return withVariables(promoteSecret(world.secrets, kid));
          const moved = await world.edit((known) => promoteKey(known, kid));
          const set = moved.kind === "refused" ? undefined : demoteSigningSecret(world.secrets);
          return set === undefined ? moved : { ...moved, variables: asVariables(set) };
        }),
      );
    });
}

interface RetireOptions {
  readonly force?: true;
  readonly since?: number;
  readonly json?: true;
}

function addRetire(secrets: Command, io: Io, finish: Finish): void {
  secrets
    .command("retire [kid]")
    .description("take a former key away, once all that it signed has expired")
    .option("--since <time>", "when the last instance stopped signing with it, RFC 3339", toMs)
    .option("--force", "now, although keys that it signed are refused then")
    .option("--json", "as JSON")
    .action(async (kid: string | undefined, options: RetireOptions) => {
      finish(
        await runRotation(io, options, async (world) => {
          const retirement: Retirement = {
            ...(kid !== undefined && { kid }),
            ...(options.since !== undefined && { sinceMs: options.since }),
            longestTtlSeconds: world.longestTtlSeconds(),
            force: options.force === true,
          };
          return world.file === undefined || isSecretKid(world.secrets, kid)
            ? withVariables(retireSecret(world.secrets, retirement, Date.now()))
            : world.edit((known) => retireKey(known, retirement));
        }),
      );
    });
}

function toMs(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms) || ms > Date.now())
    throw new InvalidArgumentError("It takes a time that is over, such as 2026-11-25T12:00:00Z.");
  return ms;
}
