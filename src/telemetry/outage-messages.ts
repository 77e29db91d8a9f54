import type { FaultMessage } from "./log.ts";

/** The messages at the start and the end of an outage. Without `healed` its end is not logged. */
export interface OutageMessages {
  readonly failed: FaultMessage;
  readonly healed?: string;
}

/** The outages that an instance survives. */
export const OUTAGES = {
  start: {
    failed: {
      event: "Redis does not respond yet",
      effect:
        "the start waits for Redis: the instance is not ready, keys get 503 credential_unavailable, the HTTP API responds 503",
      action: "Redis and the network path to it: the error says how it failed",
    },
    healed: "Redis responds: the start continues",
  },
  redis: {
    failed: {
      event: "Redis does not respond, or accepts no writes",
      effect:
        "Checks continue with the data in memory, and limits follow faults.limits; the key API responds 503",
      action: "Redis and the network path to it: the error says how it failed",
    },
    healed: "Redis responds again",
  },
  clusterMap: {
    failed: {
      event: "no node of the Redis Cluster names its slots",
      effect: "this instance goes on with the last map of slots, and does not notice when slots move",
      action: "the nodes of the Cluster and the network path to them: the error says how each failed",
    },
    healed: "a node of the Redis Cluster names its slots again",
  },
  feed: {
    failed: {
      event: "the revocation feed is not received, because Redis does not respond",
      effect:
        "known revocations stay in force, and reading is retried; beyond faults.revocations.max_staleness keys are denied",
      action: "Redis and the network path to it; latchkey_revocation_staleness_seconds",
    },
    healed: "the revocation feed is received again",
  },
  place: {
    failed: {
      event: "the database in DATA_DIR was removed or replaced, or its thread has ended",
      effect:
        "the instance is not ready and accepts no change (503); the revocations that it knows stay in force",
      action:
        "which process changes DATA_DIR; put the file back, otherwise the next start finds the registry lost",
    },
    healed: "the database in DATA_DIR is in its place again",
  },
  quotas: {
    failed: {
      event: "requests that were admitted without the counters of their quotas cannot be posted",
      effect: "they stay in memory and are posted later; those of a window that has ended no longer count",
      action: "the store, and the network path to it: the error says how it failed",
    },
    healed: "requests that were admitted without the counters of their quotas are posted",
  },
  charges: {
    failed: {
      event: "charges after the response cannot be counted",
      effect: "they stay in memory and are sent again; the end of this process loses them",
      action: "the store, and the network path to it: the error says how it failed",
    },
    healed: "charges after the response are counted",
  },
  comparison: {
    failed: {
      event: "the contents of Redis cannot be verified",
      effect:
        "the data in memory stays in force, time continues by the monotonic clock, and verification is retried",
      action: "Redis and the network path to it; that its user has the rights in deploy/redis/latchkey.acl",
    },
    healed: "the contents of Redis are verified again",
  },
  lostWrites: {
    failed: {
      event: "changes that Redis had lost are not entered again yet",
      effect: "their keys are valid, but not listed; the work continues where it stopped",
      action: "Redis and the network path to it: the error says how it failed",
    },
    healed: "the changes that Redis had lost are entered again",
  },
  secrets: {
    failed: {
      event: "secrets are not compared with the other instances, because Redis does not respond",
      effect: "the last result stays in force, and the comparison is retried",
      action: "Redis and the network path to it",
    },
    healed: "secrets are compared again",
  },
  audit: {
    failed: {
      event: "the audit log cannot be written",
      effect:
        "events of keys wait in the store and are written later; lines about requests are dropped, and counted, once too many wait",
      action: "the error: the store, and the folder and disk of AUDIT_FILE",
    },
    healed: "the audit log is written again",
  },
  usage: {
    failed: {
      event: "usage cannot be stored",
      effect:
        "it waits in memory and is stored later; usage that is older than a day, or of more than 100,000 families and hours, is dropped and counted",
      action: "the error: the store, or the memory of Redis; latchkey_usage_waiting",
    },
    healed: "usage is stored again",
  },
  socket: {
    failed: {
      event: "the file of the gRPC listener's Unix socket was removed or replaced",
      effect:
        "open connections continue; the instance is not ready until it listens at that path again, which it does as soon as it can",
      action:
        "which program removed the file, such as a cleanup job; whether another process listens at that path",
    },
    healed: "the gRPC listener listens at its Unix socket again",
  },
  signIn: {
    failed: {
      event: "people cannot sign in, because the OpenID Connect provider does not respond as expected",
      effect:
        "open sessions, keys and all other calls continue; the provider is asked again at the next sign-in",
      action:
        "the error; OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, and the network path to the provider",
    },
    healed: "the OpenID Connect provider responds again",
  },
  traces: {
    failed: {
      event: "traces do not reach the collector",
      effect: "decisions continue; spans beyond the queue's capacity are dropped",
      action: "OTEL_EXPORTER_OTLP_ENDPOINT and the collector there",
    },
    healed: "traces reach the collector again",
  },
} as const satisfies Record<string, OutageMessages>;

/** @param work the work in a sentence, such as "counting keys" */
export function backgroundWorkFails(work: string): OutageMessages {
  return {
    failed: {
      event: `${work} fails`,
      effect: "it is retried at its next turn, and Checks do not wait for it",
      action: "the store: Redis, or disk space in DATA_DIR",
    },
    healed: `${work} works again`,
  };
}

/** @param name the issuer's name in the policy */
export function issuerUnavailable(name: string): OutageMessages {
  return {
    failed: {
      event: `the keys of the issuer ${name} cannot be fetched`,
      effect: "known keys stay in use for an hour; other tokens of it get 503 credential_unavailable",
      action: "the error; its jwks_uri in the policy, and the network path to it",
    },
    healed: `the issuer ${name} responds again`,
  };
}
