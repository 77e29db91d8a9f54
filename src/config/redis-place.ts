import type { HostPort } from "./host-port.ts";
import { isHost, parseHostPorts } from "./host-port.ts";
import type { RedisTlsFiles } from "./redis-tls.ts";
import { createRedisTlsReader, readRedisTls } from "./redis-tls.ts";
import type { RedisAddress, SentinelGroup } from "./redis-url.ts";
import { readRedisUrl } from "./redis-url.ts";
import type { Settings } from "./settings.ts";

/**
 * The address of Redis and its credentials, from `REDIS_URL` or from the single settings.
 * @param onTlsProblem called when the files of REDIS_CA, REDIS_CERT and REDIS_KEY become unusable, and with undefined when they
 * are usable again
 */
export function redisPlace(
  settings: Settings,
  onTlsProblem: (problem: string | undefined) => void = () => undefined,
): RedisAddress {
  const { REDIS_HOST: host, REDIS_USERNAME: username, REDIS_PASSWORD: password } = settings;
  const { sentinels: ofUrl, seeds: ofClusterUrl, ...url } = fromUrl(settings);
  const seeds = settings.REDIS_CLUSTER ? seedNodes(settings) : ofClusterUrl;
  const sentinels = sentinelGroup(settings, ofUrl);
  const files = tlsFiles(settings);
  return {
    port: settings.REDIS_PORT,
    db: settings.REDIS_DB,
    tls: settings.REDIS_TLS,
    ...url,
    ...(host !== undefined && { host }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(sentinels !== undefined && { sentinels }),
    ...(seeds !== undefined && { seeds }),
    ...(files !== undefined && { tlsMaterial: createRedisTlsReader(files, onTlsProblem) }),
    ...(settings.REDIS_NAT_MAP !== undefined && { natMap: settings.REDIS_NAT_MAP }),
  };
}

function fromUrl({ REDIS_URL: url }: Settings): RedisAddress {
  const read = url === undefined ? undefined : readRedisUrl(url);
  return read?.ok ? read.place : {};
}

function seedNodes({ REDIS_HOST = "", REDIS_PORT: port }: Settings): readonly HostPort[] | undefined {
  return isHost(REDIS_HOST) ? [{ host: REDIS_HOST, port }] : parseHostPorts(REDIS_HOST, port);
}

function sentinelGroup(settings: Settings, ofUrl?: SentinelGroup): SentinelGroup | undefined {
  const addresses = settings.REDIS_SENTINELS ?? ofUrl?.addresses;
  if (addresses === undefined) return undefined;
  const { REDIS_SENTINEL_USERNAME: username, REDIS_SENTINEL_PASSWORD: password } = settings;
  return {
    addresses,
    master: settings.REDIS_SENTINEL_MASTER ?? ofUrl?.master ?? "",
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    tls: settings.REDIS_SENTINEL_TLS,
  };
}

function tlsFiles({ REDIS_CA: ca, REDIS_CERT: cert, REDIS_KEY: key }: Settings): RedisTlsFiles | undefined {
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

/** Whether Redis is a Cluster. */
function isCluster(settings: Settings): boolean {
  return settings.REDIS_CLUSTER || fromUrl(settings).seeds !== undefined;
}

/** Whether a setting says where Redis is. */
export function namesRedis({ REDIS_URL, REDIS_HOST, REDIS_SENTINELS }: Settings): boolean {
  return REDIS_URL !== undefined || REDIS_HOST !== undefined || REDIS_SENTINELS !== undefined;
}

/** Contradictions between the settings of Redis: one sentence each. */
export function redisConflicts(settings: Settings): readonly string[] {
  const { REDIS_URL, REDIS_HOST, REDIS_DB, REDIS_TLS } = settings;
  const url = fromUrl(settings);
  const problems: string[] = [];
  if (REDIS_URL !== undefined && REDIS_HOST !== undefined)
    problems.push("REDIS_URL and REDIS_HOST are both set: give one");
  if (REDIS_DB !== 0 && url.db !== undefined && url.db !== REDIS_DB)
    problems.push(`REDIS_DB is ${REDIS_DB} and REDIS_URL names database ${url.db}: give one`);
  if (REDIS_TLS && url.tls === false)
    problems.push("REDIS_TLS is true and REDIS_URL says redis://: write rediss://, or leave REDIS_TLS out");
  return [
    ...problems,
    ...clusterConflicts(settings, url),
    ...sentinelConflicts(settings, url.sentinels),
    ...tlsConflicts(settings),
  ];
}

function clusterConflicts(settings: Settings, { seeds }: RedisAddress): readonly string[] {
  const { REDIS_CLUSTER, REDIS_HOST, REDIS_URL, REDIS_SENTINELS, REDIS_DB } = settings;
  if (!REDIS_CLUSTER && seeds === undefined)
    return REDIS_HOST === undefined || isHost(REDIS_HOST)
      ? []
      : [
          "REDIS_HOST must be a host name or an IP address, without scheme and port; only with REDIS_CLUSTER=true it is a list",
        ];
  const problems: string[] = [];
  if (REDIS_CLUSTER && REDIS_URL !== undefined)
    problems.push("REDIS_CLUSTER is set beside REDIS_URL: write redis+cluster:// there, or give REDIS_HOST");
  else if (REDIS_CLUSTER && REDIS_HOST === undefined)
    problems.push("REDIS_CLUSTER is true and REDIS_HOST is missing: name some nodes of the Cluster there");
  if (REDIS_SENTINELS !== undefined)
    problems.push("REDIS_SENTINELS is set beside a Cluster: give one, because a Cluster has no Sentinels");
  if (REDIS_DB !== 0)
    problems.push(`REDIS_DB is ${REDIS_DB}, and a Cluster has only database 0: leave it out`);
  return problems;
}

const OF_SENTINELS = ["REDIS_SENTINEL_MASTER", "REDIS_SENTINEL_USERNAME", "REDIS_SENTINEL_PASSWORD"] as const;

function sentinelConflicts(settings: Settings, ofUrl: SentinelGroup | undefined): readonly string[] {
  const { REDIS_SENTINELS: listed, REDIS_SENTINEL_MASTER: master } = settings;
  if (listed === undefined && ofUrl === undefined) {
    const alone = OF_SENTINELS.filter((name) => settings[name] !== undefined);
    const names = [...alone, ...(settings.REDIS_SENTINEL_TLS ? ["REDIS_SENTINEL_TLS"] : [])];
    const unused = names.map(
      (name) => `${name} is set and no Sentinel is named: give REDIS_SENTINELS, or leave it out`,
    );
    return settings.REDIS_NAT_MAP === undefined || isCluster(settings)
      ? unused
      : [...unused, "REDIS_NAT_MAP is set and neither Sentinel nor Cluster is named: leave it out"];
  }
  const problems: string[] = [];
  for (const name of ["REDIS_URL", "REDIS_HOST"] as const)
    if (listed !== undefined && settings[name] !== undefined)
      problems.push(`${name} and REDIS_SENTINELS are both set: give one, because Sentinels name the primary`);
  if (ofUrl !== undefined && master !== undefined)
    problems.push("REDIS_SENTINEL_MASTER is set and REDIS_URL names the master: give one");
  if (listed !== undefined && master === undefined)
    problems.push("REDIS_SENTINEL_MASTER is missing: give the name of the primary in `sentinel monitor`");
  if (settings.REDIS_SENTINEL_USERNAME !== undefined && settings.REDIS_SENTINEL_PASSWORD === undefined)
    problems.push("REDIS_SENTINEL_PASSWORD is missing: REDIS_SENTINEL_USERNAME needs it");
  if (settings.REDIS_PORT !== 6379)
    problems.push("REDIS_PORT is set beside Sentinels: they name the primary's port, so leave it out");
  return problems;
}

function tlsConflicts(settings: Settings): readonly string[] {
  const files = tlsFiles(settings);
  if (files === undefined) return [];
  const read = readRedisTls(files, Date.now());
  if (!read.ok) return [read.problem];
  const { tls, sentinels } = redisPlace(settings);
  if (tls || sentinels?.tls) return [];
  const names = (["REDIS_CA", "REDIS_CERT", "REDIS_KEY"] as const).filter(
    (name) => settings[name] !== undefined,
  );
  return [
    `${names.join(", ")} without TLS: set REDIS_TLS or REDIS_SENTINEL_TLS, or write rediss:// in REDIS_URL`,
  ];
}
