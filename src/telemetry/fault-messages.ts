import type { FaultMessage, Log } from "./log.ts";

/** The faults that an instance logs. */
export const FAULTS = {
  cannotStart: {
    event: "Latchkey cannot start",
    effect: "the process exits with code 1",
    action: "the error",
  },
  crash: {
    event: "an unexpected error occurred",
    effect: "the process exits with code 1, because its state is unknown",
    action: "the error: it is a defect, please report it; the process supervisor should restart Latchkey",
  },
  check: {
    event: "a Check failed",
    effect: "the request is denied with the reason internal",
    action: "the error: it is a defect, please report it; an unavailable store does not cause this line",
  },
  usageStopped: {
    event: "the usage in the store has reached USAGE_MAX_BYTES",
    effect:
      "usage is no longer counted, on any instance, until old usage is deleted; Checks are not affected",
    action:
      "raise USAGE_MAX_BYTES if Redis has memory for it, or shorten USAGE_RETENTION_HOURS or USAGE_RETENTION_DAYS",
  },
  rateLimit: {
    event: "a call of the Rate Limit Service failed",
    effect: "the request is over its limit, or allowed with `faults.limits: allow`",
    action: "the error: it is a defect, please report it; an unavailable store does not cause this line",
  },
  undescribed: {
    event: "a call of the forward-auth listener does not describe a client's request",
    effect:
      "the request is denied (request_malformed); at most one such line is logged per minute, and `unlogged` counts the calls in between",
    action:
      "the configuration of the proxy against the example in deploy/: it must set each header of its form itself, exactly once",
  },
  undecodable: {
    event: "a CheckRequest cannot be decoded",
    effect:
      "the request is denied (request_malformed); at most one such line is logged per minute, and `unlogged` counts the requests in between",
    action: "that only Envoy's ext_authz filter with transport_api_version V3 sends Checks to this listener",
  },
  connection: {
    event: "a connection of the gRPC listener failed",
    effect: "that connection is closed, and the client retries on another one",
    action: "the error: it is a defect, please report it",
  },
  grpcShadowDiffers: {
    event: "Latchkey's gRPC server and its shadow on grpc-js differ",
    effect:
      "no request is affected, because no client receives anything from the shadow; at most one such line is logged per minute, and `unlogged` counts the reports in between",
    action:
      "`method` and `fields`: it is a defect, please report it; GRPC_SERVER=grpc-js switches to the other server",
  },
  grpcShadowFailed: {
    event: "the shadow of the gRPC server failed",
    effect:
      "no request is affected; the shadow starts again in a minute, and compares the connections that open after that",
    action: "the error, and whether the machine has a processor core and 512 MiB left for the shadow",
  },
  policyRejected: {
    event: "the changed policy is invalid and was not loaded",
    effect: "the old policy stays in force",
    action: "the listed problems; `latchkey policy check FILE` reports the same before a change",
  },
  planUnknown: {
    event: "a key has a plan that the policy does not have",
    effect:
      "the plan of its role applies, and a key that nothing else limits is denied; at most one such line is logged per minute, and `unlogged` counts the requests in between",
    action:
      "whether `plans` of the policy lost this plan by mistake; keys keep their plan when they are refreshed",
  },
  overridesUnknown: {
    event: "overrides name plans or quotas that the policy does not have",
    effect: "these plans and quotas do not apply; the next source in the order of precedence does",
    action: "`names`: whether the policy lost them by mistake; otherwise set or clear the overrides",
  },
  chargesNotServed: {
    event: "the policy charges units after the response, but others than Envoy can reach the gRPC listener",
    effect: "no charge is accepted, so quotas of these units stay unused",
    action: "listen on loopback or a Unix socket, or set GRPC_TLS_CLIENT_CA",
  },
  certificateRejected: {
    event: "the listener's changed certificate is invalid and was not loaded",
    effect: "the old certificate stays in use",
    action: "the problem; replace the certificate and its key together",
  },
  keysRejected: {
    event: "the changed JWT_KEYS_FILE is invalid and was not loaded",
    effect: "the old keys stay in force",
    action: "the listed problems; `latchkey secrets list` reports the same before a change",
  },
  phaseNotApplied: {
    event: "the policy's migration phase was not applied, because the store does not respond or is frozen",
    effect: "the stored phase stays in force",
    action: "the store; then reload the policy (SIGHUP)",
  },
  phaseLost: {
    event: "the store has lost the migration phase, and writing it back fails",
    effect: "the phase stays in force on the instances that know it",
    action: "the store; then set the phase again with `latchkey migration set`",
  },
  notRehashed: {
    event: "a V1 key is still stored under a former KEY_HASH_SECRET",
    effect: "the key stays valid, and its next use tries again",
    action: "the store; keep KEY_HASH_SECRET_PREVIOUS as long as this line appears",
  },
  writesLost: {
    event: "Redis may have lost writes",
    effect:
      "this instance writes back the revocations that it knows, and enters the changes of the last minute again that it made itself",
    action: "whether Redis was restarted, flushed or failed over; appendonly yes, REDIS_WAIT_REPLICAS",
  },
  failover: {
    event: "Redis has another primary, or was restarted",
    effect:
      "all connections of this instance lead to it; revocations are compared with it, and missing ones are written back",
    action:
      "whether the failover was planned; the log of the Sentinels, or CLUSTER NODES; latchkey_redis_primary_info and docs/guides/redis.md",
  },
  clusterNotWhole: {
    event: "slots of the Redis Cluster have no primary that works",
    effect: "limits of keys whose buckets are there follow faults.limits; other keys are not affected",
    action:
      "CLUSTER INFO and CLUSTER NODES: start the missing node, or let one of its replicas take over; latchkey_redis_uncovered_slots",
  },
  lostWritesEntered: {
    event: "Redis had lost changes that this instance had made",
    effect:
      "they are in the registry again, counted by outcome; a key that has ended since is entered as revoked",
    action:
      "nothing for these changes; REDIS_WAIT_REPLICAS makes such a loss less likely; audit events write_lost",
  },
  lostWritesUnresolved: {
    event: "Redis has lost changes that this instance had made, and some of them were not entered again",
    effect:
      "not_applied: a change of a name or of metadata, or a freeze, is lost; conflicting: a key was changed again after the loss; unremembered: there were more changes than an instance remembers",
    action:
      "the audit events write_lost whose outcome is not done, and repeat those changes; for unremembered, compare the audit log with the registry",
  },
  redisTlsRejected: {
    event: "a changed file of REDIS_CA, REDIS_CERT or REDIS_KEY cannot be used",
    effect: "new connections to Redis use the last files that could be used",
    action: "the problem; that certificate and key are replaced together",
  },
  namesLost: {
    event: "Redis has lost some of Latchkey's Redis keys",
    effect: "this instance writes back the revocations that it knows",
    action: "that maxmemory-policy is noeviction, and whether another client has deleted Redis keys",
  },
  clockJumped: {
    event: "a clock has jumped",
    effect:
      "time continues by the monotonic clock until the new time has held for a minute; expired data is not removed for an hour",
    action: "NTP on this machine (clock wall) or on the Redis machine (clock store)",
  },
  clockDiffers: {
    event: "this machine's clock differs from Redis's by 2 s or more",
    effect: "nothing changes yet; from 5 s on this instance is not ready",
    action: "NTP on both machines; aheadSeconds, and latchkey_clock_ahead_seconds",
  },
  clockTooFar: {
    event: "this machine's clock differs from Redis's by 5 s or more",
    effect:
      "this instance is not ready (/readyz): other instances would deny the keys that it issues, and it would accept expired keys",
    action: "NTP on both machines; aheadSeconds, and latchkey_clock_ahead_seconds",
  },
  signerUnknown: {
    event: "another instance signs with a key that this instance does not have",
    effect: "keys that it signs are denied here with 401 credential_invalid",
    action:
      "that each step of a rotation is on every instance before the next step (docs/guides/rotation.md); the kids, and latchkey_signing_key_info",
  },
  httpsNotChosen: {
    event: "the policy does not set headers.require_https",
    effect: "keys are accepted over http as well",
    action:
      "where TLS ends: if it ends in Envoy, set true, so that a key in clear text is denied; if a mesh ends it before Envoy, every request is http to Envoy, so set false",
  },
} as const satisfies Record<string, FaultMessage>;

/** @param worker its number, from 1 */
export function workerEnded(worker: number): FaultMessage {
  return {
    event: `worker ${worker} exited unexpectedly`,
    effect: "a new worker replaces it after restartMs, and Envoy uses the other workers meanwhile",
    action: "how it ended, and its last log lines: SIGKILL often means that the memory limit was reached",
  };
}

/** @param settings the settings that differ from those of the instances that started earlier */
export function settingsDiffer(settings: readonly string[]): FaultMessage {
  return {
    event: `this instance belongs to another fleet than the others on this Redis, which have a different ${settings.join(" and a different ")}`,
    effect:
      "it is not ready (/readyz) and changes nothing in the store: registrations and revocations get 503",
    action:
      "that all instances have the same settings, and a former secret in JWT_SECRET_PREVIOUS or KEY_HASH_SECRET_PREVIOUS; two fleets need two databases",
  };
}

/** @param setting a sentence that names the setting to change */
export function redisRejects(setting: string): FaultMessage {
  return {
    event: "Latchkey cannot start, because Redis rejects a setting",
    effect: "the process exits with code 1",
    action: setting,
  };
}

/** @param listener its name in a sentence, such as "the HTTP listener" */
export function callFailed(listener: string): FaultMessage {
  return {
    event: `a call at ${listener} failed`,
    effect: "the response is 503 store-unavailable; the requested change may have been made",
    action: "the error; the store, and disk space in DATA_DIR if the store is embedded",
  };
}

/** @param part its name in a sentence, such as "the HTTP listener" */
export function notClosed(part: string): FaultMessage {
  return {
    event: `${part} did not close`,
    effect: "everything else is closed, and the exit code is 1",
    action: "the error; leases and other entries that it held expire by themselves",
  };
}

/** @param part its name in a sentence, such as "the membership" */
export function leftInRedis(part: string): FaultMessage {
  return {
    event: `${part} was left as it is in Redis, because Redis does not respond`,
    effect:
      "the process exits normally; what it held in Redis expires by itself, and another instance writes the audit events that wait there",
    action: "Redis and the network path to it",
  };
}

/** @param name the variable's name */
export function secretUnclean(name: string): FaultMessage {
  return {
    event: `${name} has white space around it, such as the line break that echo writes`,
    effect: "the white space is not part of the secret",
    action: "that other programs with the same secret ignore it as well: `printf %s` writes no line break",
  };
}

/** Logs that a generated secret is used because no setting names one. */
export function unsetSecretLogger(
  log: Pick<Log, "warn">,
): (name: string, stored: { readonly place: string; readonly isNew: boolean }) => void {
  return (name, { place, isNew }) =>
    log.warn(
      { place },
      {
        event: `${name} is not set`,
        effect: isNew ? "a secret was generated and stored" : "the stored secret is used",
        action: "that it is set before this becomes production",
      },
    );
}

/** An old name in the policy file. @param deprecation the name and its successor, one sentence */
export function deprecatedInPolicy(deprecation: string): FaultMessage {
  return { event: "the policy uses an old name", effect: deprecation, action: "the policy file" };
}

export function uselessInPolicy(warning: string): FaultMessage {
  return { event: "an entry of the policy has no effect", effect: warning, action: "the policy file" };
}
