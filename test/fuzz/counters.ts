import type { Conversation, Expand } from "./conversation.ts";
import { authzCluster, VARIANTS } from "./variants.ts";

/** Responses of ours that Envoy could not apply. */
const INVALID = "invalid";

/**
 * Counters of Envoy that no client may move. Left out: `upstream_rq_tx_reset`, since Envoy resets the Check of a client that
 * goes away, and `http2.rx_reset`, since a server that has responded in full may stop the rest of a long request by
 * RST_STREAM with NO_ERROR (RFC 9113 §8.1). A reset instead of a response counts as `upstream_rq_rx_reset`.
 */
const OF_THE_FILTER = ["error", "failure_mode_allowed", INVALID];
const OF_THE_CLUSTER = [
  "upstream_rq_rx_reset",
  "upstream_rq_timeout",
  "upstream_rq_pending_overflow",
  "upstream_rq_pending_failure_eject",
  "upstream_rq_retry",
  "upstream_cx_total",
  "upstream_cx_destroy",
  "upstream_cx_protocol_error",
  "upstream_cx_connect_fail",
  "http2.rx_messaging_error",
  "http2.header_overflow",
  "http2.tx_flush_timeout",
];

export type Counters = ReadonlyMap<string, number>;

/** What a batch is judged by, and evidence that it reached the service. */
export interface Reading {
  readonly held: Counters;
  /** Checks with a response. */
  readonly checks: number;
  /** Checks and requests in progress. */
  readonly active: number;
}

const CLUSTERS = new Map(VARIANTS.map(({ name }) => [authzCluster(name), name]));

export async function readCounters(adminPort: number): Promise<Reading> {
  const filter = encodeURIComponent("^(cluster\\.latchkey-|http\\..*\\.ext_authz\\.)");
  const response = await fetch(`http://127.0.0.1:${adminPort}/stats?filter=${filter}`);
  const held = new Map<string, number>();
  let [checks, active] = [0, 0];
  for (const line of (await response.text()).split("\n")) {
    const [name = "", value = ""] = line.split(": ");
    const ofFilter = /^http\.(.+)\.ext_authz\.latchkey\.(\w+)$/.exec(name);
    const ofCluster = /^cluster\.(latchkey-[^.]+)\.(.+)$/.exec(name);
    if (ofFilter) {
      const [, variant, counter = ""] = ofFilter;
      if (OF_THE_FILTER.includes(counter)) held.set(`${variant}: ext_authz.${counter}`, Number(value));
      if (counter === "ok" || counter === "denied") checks += Number(value);
    } else if (ofCluster) {
      const [, cluster = "", counter = ""] = ofCluster;
      if (OF_THE_CLUSTER.includes(counter)) held.set(`${CLUSTERS.get(cluster)}: ${counter}`, Number(value));
      if (counter === "upstream_rq_active") active += Number(value);
    }
  }
  // A counter that this version of Envoy lacks would never change.
  if (held.size !== VARIANTS.length * (OF_THE_FILTER.length + OF_THE_CLUSTER.length))
    throw new Error(`Envoy does not have all counters: ${[...held.keys()].join(", ")}`);
  return { held, checks, active };
}

/** Describes the changed counters. On these listeners a request may have left no space for our headers. */
export function moved(before: Counters, after: Counters, crowded: ReadonlySet<string>): string[] {
  return [...after].flatMap(([name, value]) => {
    const [listener = "", counter] = name.split(": ");
    const by = value - (before.get(name) ?? 0);
    const isExcused = counter === `ext_authz.${INVALID}` && crowded.has(listener);
    return by === 0 || isExcused ? [] : [`${name} moved by ${by}`];
  });
}

/** The maximum size that Envoy and Latchkey add to a request. */
const ADDED = { fields: 40, bytes: 4096 };

/**
 * The listeners at which a request is so near to Envoy's limits that its headers and ours together exceed them.
 * Envoy then sends 500 to the client, for valid and invalid keys.
 */
export function crowdedBy(batch: readonly Conversation[], expand: Expand): ReadonlySet<string> {
  const limits = new Map(VARIANTS.map((variant) => [variant.name, variant]));
  const isCrowded = ({ listener, requests }: Conversation) =>
    requests.some(({ fields, target }) => {
      const { headersCount = 0, headersKb = 0 } = limits.get(listener) ?? {};
      const texts = [target, ...fields.flat()].map(expand);
      const bytes = texts.reduce((sum, text) => sum + text.length, 0);
      return fields.length + ADDED.fields > headersCount || bytes + ADDED.bytes > headersKb * 1024;
    });
  return new Set(batch.filter(isCrowded).map(({ listener }) => listener));
}
