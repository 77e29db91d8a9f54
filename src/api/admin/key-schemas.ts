import { z } from "zod";
import { flag } from "../http/query-values.ts";
import { confirmation, isOwnerName, keyName, metadata, timestamp } from "../keys/schemas.ts";

export const keyStatus = z.enum(["active", "superseded", "disabled", "revoked", "expired"]);

export const revokeQuery = z.strictObject({ without_record: flag.optional() }).meta({ title: "RevokeQuery" });

export const patchBody = z
  .strictObject({
    name: keyName.optional(),
    metadata: metadata.nullable().optional(),
    disabled: z.boolean().optional(),
  })
  .meta({
    title: "KeyPatch",
    description: "Members that are left out do not change. `metadata: null` removes the metadata.",
  });

/** `iat` is in whole seconds. Rounding up includes the keys of the second in which the moment lies. */
const cutOffMoment = z.iso.datetime({ offset: true }).transform((text) => Math.ceil(Date.parse(text) / 1000));

export const cutOffBody = z
  .strictObject({
    before: cutOffMoment.meta({
      description:
        "Keys that were issued before this time (RFC 3339) are revoked. It must not be in the future. Up to two seconds ahead it counts as now.",
    }),
    role: z.string().max(64).optional(),
    owner: z.string().refine(isOwnerName, "is not the name of an owner").optional(),
  })
  .refine(({ role, owner }) => role === undefined || owner === undefined, {
    message: "give a role or an owner, not both",
    path: ["owner"],
  })
  .meta({ title: "CutOff", description: "Without a role and an owner it applies to every key." });

export const rotateBody = z
  .strictObject({
    overlap: z.int().min(0).max(34_560_000).optional().meta({
      description: "Seconds for which the old key stays valid; `refresh_overlap` of the role by default.",
    }),
  })
  .meta({ title: "Rotation" });

export const keyResponse = z
  .object({
    key_id: z.string(),
    family: z.string(),
    owner: z.string().nullable(),
    role: z.string(),
    plan: z
      .string()
      .nullable()
      .meta({ description: "The plan that the key was given; null for the plan or the limits of its role." }),
    scopes: z.array(z.string()),
    name: z.string(),
    metadata: z.record(z.string(), z.unknown()).nullable(),
    status: keyStatus,
    self_service: z.boolean(),
    legacy: z.boolean().meta({ description: "Whether this is an opaque (V1) key." }),
    migrated_at: timestamp
      .nullable()
      .meta({ description: "When a V1 key was first exchanged for a V2 key." }),
    issued_at: timestamp,
    expires_at: timestamp.nullable(),
    refresh_after: timestamp.nullable(),
    superseded_by: z.string().nullable(),
    superseded_from: timestamp.nullable(),
    revoked_at: timestamp.nullable(),
    last_used_at: timestamp.nullable(),
    addresses: z
      .array(z.string())
      .nullable()
      .meta({ description: "Networks from which the key is accepted; null for any address." }),
    cnf: confirmation.nullable(),
  })
  .meta({ title: "Key", description: "The record of a key. It never contains the key itself." });

const recordsRead = z.int().meta({ description: "The number of records that this call has read." });

export const keyListResponse = z
  .object({ keys: z.array(keyResponse), examined: recordsRead, next_cursor: z.string().nullable() })
  .meta({
    title: "KeyList",
    description: "Continue with `next_cursor` until it is null. A page before that may be short or empty.",
  });

export const keyCountsResponse = z
  .object({
    keys: z.int().meta({ description: "The keys of this part that match." }),
    live: z.int().meta({
      description: "Keys that Checks accept: active keys, and superseded keys whose overlap is not over.",
    }),
    by_status: z.object({
      active: z.int(),
      superseded: z.int(),
      disabled: z.int(),
      revoked: z.int(),
      expired: z.int(),
    }),
    last_used_at: timestamp.nullable().meta({ description: "The newest last use of these keys." }),
    examined: recordsRead,
    next_cursor: z.string().nullable(),
  })
  .meta({
    title: "KeyCounts",
    description: "One part of the registry. Add the counts of all parts, until `next_cursor` is null.",
  });
