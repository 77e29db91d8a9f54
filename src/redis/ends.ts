import type { EndReader } from "../core/keys/ports.ts";
import type { RedisClient } from "./client.ts";
import { cutOffField } from "./names.ts";

/** Reads the ends that commit.lua has written. */
export function createEndReader(client: RedisClient): EndReader {
  return {
    async findEnd(of) {
      if (of.kind === "family") {
        const until = await client.command("ZSCORE", client.keys.endedFamilies, of.family);
        return until === null ? undefined : { end: { ...of, until: Number(until) }, isBeyondIssued: true };
      }
      // The dates are read after the cut-off, so that a key that is dated in between is seen.
      const cut = await client.command("HGET", client.keys.cutOffs, cutOffField(of));
      const newest = await client.command("GET", client.keys.newest);
      const time = await client.command("TIME");
      const [, before, until] = /^(\d+) (\d+)$/.exec(String(cut)) ?? [];
      if (before === undefined) return undefined;
      const [now]: readonly unknown[] = Array.isArray(time) ? time : [];
      return {
        end: { ...of, before: Number(before), until: Number(until) },
        // The store does not know all dates: other issuers date their own tokens, and a failover may have lost some.
        isBeyondIssued: newest !== null && Math.max(Number(newest), Number(now)) < Number(before),
      };
    },
  };
}
