import type { Figures } from "../../../client/types.ts";
import { formatCount, formatMs, formatNumber, formatSeconds } from "../../data/format.ts";
import { ratesOf } from "../../data/use-figures.ts";
import { Badge } from "../../parts/badge.tsx";
import { Stat, Stats } from "../../parts/stat.tsx";

/** The figures that are read at a glance. */
export function Headline({ figures }: { readonly figures: Figures }) {
  const { latency, status } = figures;
  const { allowed, denied } = ratesOf(figures);
  const share = allowed + denied === 0 ? 0 : (100 * denied) / (allowed + denied);
  return (
    <Stats>
      <Stat title="Allowed a second" value={formatNumber(allowed)} />
      <Stat title="Denied a second" value={formatNumber(denied)} detail={`${formatNumber(share)} % of all`} />
      <Stat title="Latency, p50" value={latency.p50_ms === null ? "–" : formatMs(latency.p50_ms)} />
      <Stat title="Latency, p99" value={latency.p99_ms === null ? "–" : formatMs(latency.p99_ms)} />
      <Readiness instance={status.instance} instances={status.instances.length} />
      <Store store={status.store} />
      <Feed store={status.store} />
    </Stats>
  );
}

interface ReadinessProps {
  readonly instance: Figures["status"]["instance"];
  readonly instances: number;
}

function Readiness({ instance, instances }: ReadinessProps) {
  const { ready, parts, uptime_seconds } = instance;
  const place = instances === 1 ? "the only one" : `one of ${formatCount(instances)}`;
  const notReady = Object.entries(parts).filter(([, state]) => state !== "ready");
  return (
    <Stat
      title="This instance"
      value={<Badge tone={ready ? "good" : "bad"}>{ready ? "ready" : "not ready"}</Badge>}
      detail={
        ready
          ? `${place}, up for ${formatSeconds(uptime_seconds)}`
          : notReady.map(([part, state]) => `${part}: ${state.replaceAll("_", " ")}`).join(", ")
      }
    />
  );
}

type StoreStatus = Figures["status"]["store"];

function Store({ store: { up, kind, topology, primary } }: { readonly store: StoreStatus }) {
  return (
    <Stat
      title="Store"
      value={<Badge tone={up ? "good" : "bad"}>{up ? "accepts writes" : "accepts no writes"}</Badge>}
      detail={
        kind === "embedded" ? "embedded" : `Redis (${topology ?? "unknown"}), ${primary ?? "no primary"}`
      }
    />
  );
}

/** Half of the staleness at which the built-in policy denies keys. */
const OLD_FEED_SECONDS = 5;

function Feed({ store }: { readonly store: StoreStatus }) {
  const seconds = store.revocation_staleness_seconds;
  if (store.kind === "embedded")
    return <Stat title="Revocations" value="immediate" detail="no feed is needed" />;
  const isOld = seconds === null || seconds > OLD_FEED_SECONDS;
  return (
    <Stat
      title="Revocation feed"
      value={
        isOld ? (
          <Badge tone="bad">{seconds === null ? "never received" : `${formatSeconds(seconds)} old`}</Badge>
        ) : (
          `${formatNumber(Math.max(0.1, Math.round(seconds * 10) / 10))} s`
        )
      }
      detail="since it was last received"
    />
  );
}
