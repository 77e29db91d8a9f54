import type { FaultMessage, Log } from "./log.ts";

/** What is said when something begins to fail, and when it works again. */
export interface OutageMessages {
  readonly failed: FaultMessage;
  readonly healed: string;
}

/** What an instance says of its faults: what happened, what it does about it, what to check. */
export const FAULTS = {
  cannotStart: {
    event: "Latchkey cannot start",
    effect: "the process ends with exit code 1",
    action: "the error",
  },
  crash: {
    event: "something happened that nothing here expects",
    effect: "the process ends with exit code 1, for nobody knows what state it is in",
    action: "the error: it is a defect, please report it; whoever runs Latchkey should start it again",
  },
  check: {
    event: "a Check met a fault",
    effect: "it was refused with the reason internal",
    action: "the error: a store that is away does not come here, so it is a defect, please report it",
  },
  undecodable: {
    event: "a CheckRequest cannot be decoded",
    effect:
      "that request is denied (request_malformed); `unlogged` more were since the last such line, of which there is one a minute",
    action:
      "what sends Checks to this listener: Envoy's ext_authz filter with transport_api_version V3, and nothing else",
  },
  connection: {
    event: "a connection at the gRPC door met a fault",
    effect: "that connection was closed; whoever asked there asks again on another",
    action: "the error: it is a defect, please report it",
  },
  policyRefused: {
    event: "the changed policy has mistakes and is not taken up",
    effect: "the old one stays",
    action: "what is listed; `latchkey policy check FILE` says the same before a change",
  },
  certificateRefused: {
    event: "the door's changed certificate is not taken up",
    effect: "the old one stays",
    action: "the problem; that certificate and key are replaced together",
  },
  phaseNotTaken: {
    event: "the policy's migration phase is not taken up, for the store does not answer",
    effect: "the stored phase goes on to hold",
    action: "the store; then reload the policy (SIGHUP)",
  },
  phaseLost: {
    event: "the store has lost the migration phase and does not take it again",
    effect: "the phase goes on to hold on the instances that know it",
    action: "the store; then `latchkey migration set` the phase once more",
  },
  notRehashed: {
    event: "a V1 key is still kept under a former KEY_HASH_SECRET",
    effect: "it stays good, and its next use tries again",
    action: "the store; keep KEY_HASH_SECRET_PREVIOUS while this is said",
  },
  writesLost: {
    event: "Redis may have lost writes",
    effect:
      "what this instance knows of revocations is written back to it; registrations may be gone, their keys stay good",
    action: "whether Redis was restarted, flushed or failed over; appendonly yes, REDIS_WAIT_REPLICAS",
  },
  failover: {
    event: "Redis has another primary, or was restarted",
    effect:
      "all connections of this instance lead to it; revocations are compared with it, and missing ones are written back",
    action:
      "whether the failover was planned; the log of the Sentinels; latchkey_redis_primary_info and docs/guides/redis.md",
  },
  redisTlsRejected: {
    event: "a changed file of REDIS_CA, REDIS_CERT or REDIS_KEY cannot be used",
    effect: "new connections to Redis use the last files that could be used",
    action: "the problem; that certificate and key are replaced together",
  },
  namesLost: {
    event: "Redis has lost single names of Latchkey",
    effect: "what this instance knows of revocations is written back to it",
    action: "maxmemory-policy, which must be noeviction; whether somebody has deleted names",
  },
  clockJumped: {
    event: "a clock has jumped",
    effect:
      "time goes on by the monotonic clock until the new time has held for a minute; nothing is forgotten for an hour",
    action: "NTP on this machine (clock wall) or on Redis's (clock store)",
  },
  httpsNotChosen: {
    event: "the policy does not say headers.require_https",
    effect: "keys are taken over http as well",
    action:
      "where TLS ends: at an edge that ends it in Envoy set true, so that a key in clear text is refused; in a mesh that ends it before Envoy every request is http to Envoy, so set false",
  },
  keysRefused: {
    event: "the changed JWT_KEYS_FILE has mistakes and is not taken up",
    effect: "the old keys stay",
    action: "what is listed; `latchkey secrets list` says the same before a change",
  },
  signerUnknown: {
    event: "another instance signs with a key that this one has not",
    effect: "keys that it signs are refused here, 401 credential_invalid",
    action:
      "that each move of a rotation is on every instance before the next (docs/operations/operations.md); the kids, and latchkey_signing_key_info",
  },
  clockDiffers: {
    event: "this machine's clock differs from Redis's by 2 s or more",
    effect: "nothing changes yet; from 5 s on this instance is not ready",
    action: "NTP on both machines; aheadSeconds, and latchkey_clock_ahead_seconds",
  },
  clockTooFar: {
    event: "this machine's clock differs from Redis's by 5 s or more",
    effect:
      "this instance is not ready (/readyz): keys that it issues would be refused elsewhere, and expired ones be taken",
    action: "NTP on both machines; aheadSeconds, and latchkey_clock_ahead_seconds",
  },
} as const satisfies Record<string, FaultMessage>;

export const OUTAGES = {
  start: {
    failed: {
      event: "Redis does not answer yet",
      effect:
        "the start waits for it: the instance is not ready, keys are answered 503 credential_unavailable, the HTTP API 503",
      action: "Redis and the way to it: the error says how it failed",
    },
    healed: "Redis answers: the start goes on",
  },
  redis: {
    failed: {
      event: "Redis does not answer, or takes no writes",
      effect: "Checks go on with what is in memory, limits as faults.limits says; the key API answers 503",
      action: "Redis and the way to it: the error says how it failed",
    },
    healed: "Redis answers again",
  },
  feed: {
    failed: {
      event: "revocations of other instances are not heard, for Redis does not answer",
      effect:
        "what is known so far holds, and it goes on asking; beyond faults.revocations.max_staleness keys are refused",
      action: "Redis and the way to it; latchkey_revocation_staleness_seconds",
    },
    healed: "revocations of other instances are heard again",
  },
  place: {
    failed: {
      event: "the database in DATA_DIR was removed or replaced, or its thread has ended",
      effect:
        "the instance is not ready and takes no change (503); what it knows of revocations goes on to hold",
      action: "who touches DATA_DIR; put the file back, else the next start finds the registry lost",
    },
    healed: "the database in DATA_DIR is in its place again",
  },
  comparison: {
    failed: {
      event: "what Redis has is not compared with what should be there",
      effect: "what is known here holds, time goes on by the monotonic clock, and it goes on asking",
      action: "Redis and the way to it; that its user may do what deploy/redis/latchkey.acl lists",
    },
    healed: "what Redis has is compared again",
  },
  secrets: {
    failed: {
      event: "secrets are not compared with the other instances, for Redis does not answer",
      effect: "what was found last holds, and it goes on asking",
      action: "Redis and the way to it",
    },
    healed: "secrets are compared again",
  },
  audit: {
    failed: {
      event: "the audit log is not written",
      effect:
        "events of keys wait in the store and are written later; lines about requests are dropped, and counted, once too many wait",
      action: "the error: the store, and the folder and disk of AUDIT_FILE",
    },
    healed: "the audit log is written again",
  },
  socket: {
    failed: {
      event: "the file of the gRPC listener's Unix socket is gone, or another one is in its place",
      effect:
        "connections that are open go on; it listens there again as soon as it can, and is not ready until then",
      action:
        "what removed the file, such as a job that cleans up; whether another process listens at that path",
    },
    healed: "the gRPC listener listens at its Unix socket again",
  },
  traces: {
    failed: {
      event: "traces do not reach the collector",
      effect: "decisions go on; spans that find no room are dropped",
      action: "OTEL_EXPORTER_OTLP_ENDPOINT and the collector there",
    },
    healed: "traces reach the collector again",
  },
} as const satisfies Record<string, OutageMessages>;

export function workerEnded(worker: number): FaultMessage {
  return {
    event: `worker ${worker} has ended by itself`,
    effect: "another one takes its place in restartMs, and Envoy asks the others meanwhile",
    action: "how it ended, and its last lines: SIGKILL is often the memory limit",
  };
}

/** @param settings of which this instance has nothing in common with those that started before it */
export function settingsDiffer(settings: readonly string[]): FaultMessage {
  return {
    event: `this instance belongs to another fleet than the others on this Redis, which have another ${settings.join(" and another ")}`,
    effect:
      "it is not ready (/readyz) and changes nothing in the store: registrations and revocations are answered 503",
    action:
      "that all were given the same, and a former secret in JWT_SECRET_PREVIOUS or KEY_HASH_SECRET_PREVIOUS; that two fleets have two databases",
  };
}

/** @param setting a sentence that names the setting to change */
export function redisRefuses(setting: string): FaultMessage {
  return {
    event: "Latchkey cannot start, for Redis refuses it",
    effect: "the process ends with exit code 1",
    action: setting,
  };
}

/** @param door as in "the HTTP door" */
export function callFaulted(door: string): FaultMessage {
  return {
    event: `a call at ${door} met a fault`,
    effect: "it was answered 503 store-unavailable; what it asked for may have been done",
    action: "the error; the store, and disk space in DATA_DIR where it is embedded",
  };
}

/** @param work as in "noting when keys were used" */
export function upkeepFails(work: string): OutageMessages {
  return {
    failed: {
      event: `${work} fails`,
      effect: "it is tried again at its next turn; Checks do not wait for it",
      action: "the store: Redis, or disk space in DATA_DIR",
    },
    healed: `${work} works again`,
  };
}

/** @param name of an issuer, in the policy */
export function issuerFaulted(name: string): FaultMessage {
  return {
    event: `the keys of the issuer ${name} cannot be had`,
    effect:
      "those that are known hold for an hour; other tokens of it are answered 503 credential_unavailable",
    action: "the error; its jwks_uri in the policy, and the way to it",
  };
}

/** @param part as in "the HTTP door" */
export function notClosed(part: string): FaultMessage {
  return {
    event: `${part} did not close`,
    effect: "everything else is closed, and the exit code is 1",
    action: "the error; leases and the like that it held run out by themselves",
  };
}

/** @param part as in "the membership" */
export function leftBehind(part: string): FaultMessage {
  return {
    event: `Redis did not take the end of ${part}`,
    effect:
      "the process ends as it should; what it held in Redis runs out by itself, and events that wait there are written by another instance",
    action: "Redis and the way to it",
  };
}

/** @param name of a variable */
export function secretUnclean(name: string): FaultMessage {
  return {
    event: `${name} has white space around it, such as the line break that echo writes`,
    effect: "the white space does not count as part of the secret",
    action: "that other programs with the same secret read it so: `printf %s` writes no line break",
  };
}

/** Logs that a generated secret is used because no setting names one. */
export function unsetSecretLogger(
  log: Pick<Log, "warn">,
): (name: string, stored: { readonly place: string; readonly isNew: boolean }) => void {
  return (name, { place, isNew }) => {
    const does = isNew ? "one was made and is kept there" : "the one that is kept there is used";
    const check = "that it is set before this becomes production";
    log.warn({ place }, { event: `${name} is not set`, effect: does, action: check });
  };
}

/** An old name in the policy file. @param deprecation the name and its successor, one sentence */
export function deprecatedInPolicy(deprecation: string): FaultMessage {
  return { event: "the policy uses an old name", effect: deprecation, action: "the policy file" };
}
