import { z } from "zod";
import { PHASES } from "../../core/legacy/migration.ts";
import { ISSUED_KEYS } from "../../core/legacy/phase-effect.ts";
import { flag, wholeNumber } from "../http/query-values.ts";
import { keyName, roleName, timestamp } from "../keys/schemas.ts";

export const legacyRegisterBody = z
  .strictObject({
    name: keyName,
    key_type: roleName,
  })
  .meta({ title: "LegacyRegistration" });

export const legacyIssued = z
  .object({ api_key: z.string(), key_id: z.string(), role: z.string() })
  .meta({ title: "LegacyIssuedKey", description: "An opaque (V1) key. No later response contains it." });

export const migrateBody = z
  .strictObject({ legacy_key: z.string().min(1).max(8192) })
  .meta({ title: "Migration" });

export const phase = z.enum(PHASES);
export const phaseBody = z
  .strictObject({
    phase: z.union([phase, z.literal("from-policy")]),
    from: phase.optional().meta({
      description: "The phase on which the decision is based. If another phase is in force, nothing changes.",
    }),
  })
  .meta({
    title: "PhaseSwitch",
    description: "With `from-policy`, the policy file determines the phase again.",
  });

export const legacyUse = z
  .object({
    keys: z.int().meta({ description: "Number of V1 keys." }),
    used_last_day: z.int(),
    used_last_week: z.int(),
    used_last_month: z.int(),
  })
  .meta({ description: "The number of V1 keys, and how many of them were used recently." });

export const roleUse = z
  .object({
    role: z.string(),
    ...legacyUse.shape,
    unmigrated: legacyUse.meta({ description: "Only the keys that have not been exchanged for a V2 key." }),
  })
  .meta({ description: "The V1 keys of one role." });

export const phaseEffect = z
  .object({
    phase,
    valid: z.int().meta({ description: "V1 keys that are valid until something else ends them." }),
    ending: z
      .int()
      .meta({ description: "Exchanged V1 keys, which end at `ends_from` or after their own overlap." }),
    ends_from: timestamp.nullable(),
    denied: z.int().meta({ description: "V1 keys that are denied at once: those that were not exchanged." }),
    denied_used_last_day: z.int(),
    denied_used_last_week: z.int(),
    denied_used_last_month: z.int(),
    announces: z
      .boolean()
      .meta({ description: "Whether responses to V1 keys announce V2 keys, or the end." }),
    issues: z.enum(ISSUED_KEYS).meta({
      description:
        "What a registration of a V1 key issues. `negotiated`: a V2 key to a client that sends `Accept-Key-Version: 2`.",
    }),
  })
  .meta({ description: "What a phase would do to the V1 keys that exist now." });

export const migrationResponse = z
  .object({
    phase,
    chosen_by: z.enum(["policy", "operator"]),
    policy_phase: phase,
    deprecated_at: timestamp.nullable(),
    sunset: timestamp,
    migrate_until: timestamp,
    overlap_seconds: z.int().meta({
      description:
        "Seconds for which an exchanged V1 key stays valid, from the start of `deprecated` or from its exchange, whichever is later.",
    }),
    roles: z.array(roleUse),
    effects: z.array(phaseEffect).meta({ description: "Each phase in order, as if it began now." }),
  })
  .meta({ title: "MigrationStatus" });

const MAX_LINE_NUMBER = 9_999_999_999;

export const importQuery = z
  .strictObject({
    dry_run: flag.optional().meta({ description: "Validate the lines without importing them." }),
    first_line: wholeNumber(0, MAX_LINE_NUMBER, 10)
      .optional()
      .meta({ description: "The number of the first line in the body, for the report." }),
  })
  .meta({ title: "ImportQuery" });

export const importBody = z.string().meta({
  title: "ImportLines",
  description:
    "NDJSON with one object per line: `api_key` or `api_key_hash` (hex SHA-256), `name`, `role`, `owner`, `created_at`, `expires_at`.",
});

export const importResponse = z
  .object({
    imported: z.int(),
    known: z.int().meta({ description: "Number of keys that already exist." }),
    refused: z.array(z.object({ line: z.int(), detail: z.string() })),
  })
  .meta({ title: "ImportReport" });
