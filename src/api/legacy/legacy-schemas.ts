import { z } from "zod";
import { PHASES } from "../../core/legacy/migration.ts";
import { keyName, roleName } from "../keys/schemas.ts";

export const legacyRegisterBody = z
  .strictObject({
    name: keyName,
    key_type: roleName,
  })
  .meta({ title: "LegacyRegistration" });

export const legacyIssued = z
  .object({ api_key: z.string(), key_id: z.string(), role: z.string() })
  .meta({ title: "LegacyIssuedKey", description: "An opaque key, shown this once." });

export const migrateBody = z
  .strictObject({ legacy_key: z.string().min(1).max(8192) })
  .meta({ title: "Migration" });

const phase = z.enum(PHASES);
const moment = z.string();

export const phaseBody = z
  .strictObject({ phase: z.union([phase, z.literal("from-policy")]) })
  .meta({ title: "PhaseSwitch", description: "`from-policy` gives the phase back to the policy file." });

const legacyUse = z.object({
  keys: z.int().meta({ description: "V1 keys that there are." }),
  used_last_day: z.int(),
  used_last_week: z.int(),
  used_last_month: z.int(),
});

export const migrationResponse = z
  .object({
    phase,
    chosen_by: z.enum(["policy", "operator"]),
    policy_phase: phase,
    deprecated_at: moment.nullable(),
    sunset: moment,
    migrate_until: moment,
    overlap_seconds: z.int().meta({
      description:
        "How long an exchanged V1 key stays good from `deprecated` on, or from its exchange if that is later.",
    }),
    roles: z.array(
      z.object({
        role: z.string(),
        ...legacyUse.shape,
        unmigrated: legacyUse.meta({ description: "Those of them that were not exchanged yet." }),
      }),
    ),
  })
  .meta({ title: "MigrationStatus" });

export const importQuery = z
  .strictObject({
    dry_run: z
      .enum(["true", "false"])
      .transform((text) => text === "true")
      .optional(),
    first_line: z
      .string()
      .regex(/^\d{1,10}$/, "must be a whole number")
      .transform(Number)
      .optional(),
  })
  .meta({ title: "ImportQuery" });

export const importBody = z.string().meta({
  title: "ImportLines",
  description:
    "NDJSON: one object a line, of `api_key` or `api_key_hash` (hex SHA-256), `name`, `role`, `owner`, `created_at`, `expires_at`.",
});

export const importResponse = z
  .object({
    imported: z.int(),
    known: z.int().meta({ description: "They were there already." }),
    refused: z.array(z.object({ line: z.int(), detail: z.string() })),
  })
  .meta({ title: "ImportReport" });
