import type { HostPort } from "../config/host-port.ts";
import { formatHostPort, isHost } from "../config/host-port.ts";
import type { SentinelGroup } from "../config/redis-url.ts";
import type { ConnectorOptions } from "./connector.ts";
import { askOnce } from "./one-shot.ts";
import { RedisUnavailable, toSentinelUnavailable } from "./redis-error.ts";

export interface SentinelOptions extends Omit<SentinelGroup, "tls">, Pick<ConnectorOptions, "tls"> {
  /** Each Sentinel must respond within this time. */
  readonly timeoutMs: number;
}

/** The address that a Sentinel names, `unknown` if it does not monitor this master, or why it did not respond. */
type SentinelAnswer = HostPort | "unknown" | RedisUnavailable;

/**
 * Asks all Sentinels where the primary is, on a new connection each. Resolves with the address that a majority of them names,
 * or, once all have responded or failed, with the address that most of them name. One Sentinel that is cut off with an old
 * primary is thus outvoted.
 */
export async function findPrimary(options: SentinelOptions): Promise<HostPort> {
  const { addresses } = options;
  const found = Promise.withResolvers<HostPort>();
  const votes = new Map<string, { readonly named: HostPort; count: number }>();
  const asked = addresses.map(async (sentinel) => {
    const answer = await askSentinel(sentinel, options);
    if (typeof answer === "string" || answer instanceof RedisUnavailable) return answer;
    const vote = votes.get(formatHostPort(answer)) ?? { named: answer, count: 0 };
    vote.count++;
    votes.set(formatHostPort(answer), vote);
    if (vote.count > addresses.length / 2) found.resolve(answer);
    return answer;
  });
  const all = Promise.all(asked).then((answers) => {
    const [most, second] = [...votes.values()].toSorted((a, b) => b.count - a.count);
    if (most === undefined) throw noPrimary(answers, options);
    if (most.count === second?.count) throw disagreement(votes.keys());
    return most.named;
  });
  return Promise.race([found.promise, all]);
}

async function askSentinel(
  sentinel: HostPort,
  { master, ...options }: SentinelOptions,
): Promise<SentinelAnswer> {
  const command = ["SENTINEL", "get-master-addr-by-name", master] as const;
  try {
    const [named] = await askOnce(sentinel, options, [command]);
    if (named instanceof Error) throw named;
    return parseAnswer(named) ?? malformed(formatHostPort(sentinel));
  } catch (error) {
    return toSentinelUnavailable(error, formatHostPort(sentinel));
  }
}

/** Undefined if the reply is malformed. A Sentinel replies with null to a name that it does not know. */
function parseAnswer(reply: unknown): HostPort | "unknown" | undefined {
  if (reply === null) return "unknown";
  const [host, port]: readonly unknown[] = Array.isArray(reply) ? reply : [];
  if (typeof host !== "string" || typeof port !== "string" || !isHost(host)) return undefined;
  return /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535
    ? { host, port: Number(port) }
    : undefined;
}

function malformed(address: string): RedisUnavailable {
  return new RedisUnavailable("reply", `Sentinel ${address}: its reply is not an address`, {
    cause: undefined,
  });
}

/** Temporary: during a failover some Sentinels name the old primary. */
function disagreement(addresses: Iterable<string>): RedisUnavailable {
  const named = [...addresses].join(" and ");
  return new RedisUnavailable("connection", `the Sentinels disagree about the primary: ${named}`, {
    cause: undefined,
  });
}

/** The reason why no Sentinel names the primary. A setting that Sentinels reject, or a name that none knows, is permanent. */
function noPrimary(answers: readonly SentinelAnswer[], { master }: SentinelOptions): RedisUnavailable {
  const faults = answers.filter((answer) => answer instanceof RedisUnavailable);
  const rejected = faults.find(({ rejectedSetting }) => rejectedSetting !== undefined);
  if (rejected !== undefined) return rejected;
  if (faults.length > 0)
    return new RedisUnavailable("connection", `no Sentinel names the primary: ${describe(faults)}`, {
      cause: faults[0],
    });
  const problem = `no Sentinel knows the master "${master}"`;
  return new RedisUnavailable("reply", problem, {
    cause: undefined,
    rejectedSetting: `REDIS_SENTINEL_MASTER, or the name in REDIS_URL: ${problem}; it must be the name in \`sentinel monitor\``,
  });
}

function describe(faults: readonly RedisUnavailable[]): string {
  return faults.map(({ message }) => message).join("; ");
}
