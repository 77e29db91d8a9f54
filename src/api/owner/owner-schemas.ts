import { z } from "zod";
import { listQuery } from "../admin/key-query.ts";
import { keyListResponse } from "../admin/key-schemas.ts";
import { flag } from "../http/query-values.ts";
import { registerBody } from "../keys/schemas.ts";

const time = z.iso.datetime();

const ownRole = z.object({
  name: z.string(),
  scopes: z.array(z.string()),
  ttl: z.int().meta({ description: "The longest lifetime of its keys, in seconds." }),
});

export const ownerSessionResponse = z
  .object({
    name: z.string().meta({ description: "The person, for people to read." }),
    owner: z.string().meta({ description: "The owner whose keys the person manages." }),
    roles: z.array(ownRole).meta({ description: "The roles whose keys the person may create and rotate." }),
    started_at: time,
    ends_at: time.meta({ description: "When it ends without a further action." }),
    ends_at_latest: time,
  })
  .meta({ title: "OwnerSession" });

export const openedOwnerSessionResponse = ownerSessionResponse
  .extend({
    proof: z.string().meta({ description: "Each call of the page sends it as `X-Latchkey-Keys`." }),
  })
  .meta({ title: "OpenedOwnerSession" });

export const ownListQuery = listQuery
  .pick({ status: true, name_prefix: true, cursor: true, limit: true })
  .meta({ title: "OwnKeyFilter" });

export const ownKeyListResponse = keyListResponse
  .extend({
    counted_keys: z.int().meta({
      description:
        "The keys of the owner that count: those that are not revoked, expired or superseded, including those that operators registered.",
    }),
    max_keys: z.int().meta({ description: "No key can be created while this many keys count." }),
  })
  .meta({ title: "OwnKeyList" });

export const ownRegisterBody = registerBody
  .omit({ owner: true, plan: true })
  .meta({ title: "OwnRegistration" });

export const ownRevokeQuery = z
  .strictObject({
    family: flag.optional().meta({ description: "`true` also revokes its predecessors and successors." }),
  })
  .meta({ title: "OwnRevocation" });
