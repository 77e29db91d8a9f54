import type { Figures } from "../../../client/types.ts";
import type { LiveFigures, RatePoint } from "../../data/use-figures.ts";
import { ratesOf, useFigures } from "../../data/use-figures.ts";
import { Badge } from "../../parts/badge.tsx";
import { Chart } from "../../parts/chart.tsx";
import { ErrorState, Loading, Stale } from "../../parts/states.tsx";
import { DecisionTable } from "./decisions.tsx";
import { Headline } from "./headline.tsx";
import { InstanceTable } from "./instances.tsx";
import { StoreFacts } from "./store.tsx";

/** What on-call looks at first: the figures of this instance, live, and the instances of its fleet. */
export function Overview() {
  const live = useFigures();
  const { figures, problem, receivedMs, retry } = live;
  return (
    <>
      <div class="heading">
        <h1>Overview</h1>
        {figures !== undefined && problem === undefined && <Badge tone="good">live</Badge>}
      </div>
      {problem !== undefined && receivedMs !== undefined && (
        <Stale problem={problem} sinceMs={receivedMs} onRetry={retry} />
      )}
      <Content live={live} />
    </>
  );
}

function Content({ live: { figures, history, problem, retry } }: { readonly live: LiveFigures }) {
  if (figures !== undefined) return <FiguresView figures={figures} history={history} />;
  return problem === undefined ? (
    <Loading what="the figures" />
  ) : (
    <ErrorState problem={problem} onRetry={retry} />
  );
}

interface FiguresViewProps {
  readonly figures: Figures;
  readonly history: readonly RatePoint[];
}

function FiguresView({ figures, history }: FiguresViewProps) {
  const { status } = figures;
  return (
    <>
      <Headline figures={figures} />
      <section>
        <h2>Decisions a second, this instance</h2>
        <Chart
          label="Decisions a second since this page was opened"
          minSpanSeconds={60}
          heightPx={170}
          times={history.map(({ at }) => at)}
          series={[
            { name: "Allowed", color: "--good", values: history.map(({ allowed }) => allowed) },
            { name: "Denied", color: "--bad", values: history.map(({ denied }) => denied) },
          ]}
        />
      </section>
      <div class="columns">
        <section>
          <h2>By reason, this instance</h2>
          <DecisionTable figures={figures} />
        </section>
        <section>
          <h2>Store</h2>
          <StoreFacts store={status.store} capacity={status.capacity} />
        </section>
      </div>
      <section>
        <h2>Instances</h2>
        <InstanceTable status={status} own={ratesOf(figures)} />
      </section>
    </>
  );
}
