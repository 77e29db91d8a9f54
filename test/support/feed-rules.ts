import type { InstanceView } from "../../src/core/revocation/instance-view.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import type { LeaveOut } from "./feed.ts";

export const asIs = { view: (view: InstanceView) => view, reading: (client: RedisClient) => client };

/** A snapshot replaces the view instead of being merged into it. */
export const withoutMerge: LeaveOut = {
  ...asIs,
  view(view) {
    let current = view;
    return {
      ...view,
      apply(revocations) {
        const portion = [...revocations];
        if (portion.some(({ kind }) => kind === "forgotten")) current = createInstanceView();
        current.apply(portion);
      },
      endReason: (principal, nowMs) => current.endReason(principal, nowMs),
      includes: (revocation) => current.includes(revocation),
      entries: () => current.entries(),
    };
  },
};

export const withoutWriteBack: LeaveOut = { ...asIs, view: (view) => ({ ...view, entries: () => [] }) };

/** Gaps in the sequence are not detected: what XREAD returns counts as complete. */
export const withoutSequence: LeaveOut = {
  ...asIs,
  reading(client) {
    let number = 0;
    return {
      ...client,
      script: (source) => {
        const run = client.script(source);
        return async (keys, args) => {
          const reply = await run(keys, args);
          if (Array.isArray(reply)) number = Number(reply[1]);
          return reply;
        };
      },
      async command(name, ...args) {
        const reply = await client.command(name, ...args);
        if (!Array.isArray(reply)) return reply;
        if (name === "MGET") return [reply[0], String(number)];
        if (name !== "XREAD") return reply;
        const [[stream, entries]] = reply;
        return [
          [
            stream,
            entries.map(([id, [s, , e, text]]: [string, string[]]) => [id, [s, `${++number}`, e, text]]),
          ],
        ];
      },
    };
  },
};

/** A new epoch is not detected. */
export const withoutEpoch: LeaveOut = {
  ...asIs,
  reading: (client) => ({
    ...client,
    script: (source) => {
      const run = client.script(source);
      return async (keys, args) => {
        const reply = await run(keys, args);
        return Array.isArray(reply) ? ["one", ...reply.slice(1)] : reply;
      };
    },
    async command(name, ...args) {
      const reply = await client.command(name, ...args);
      return name === "MGET" && Array.isArray(reply) ? ["one", reply[1]] : reply;
    },
  }),
};

/** Another server is not detected. */
export const withoutReplicationId: LeaveOut = {
  ...asIs,
  reading: (client) => ({
    ...client,
    serverState: async () => ({ ...(await client.serverState()), replicationId: "one" }),
  }),
};
