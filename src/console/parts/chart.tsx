import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { formatNumber, formatTick, formatTime } from "../data/format.ts";

export interface Series {
  readonly name: string;
  /** A custom property of the styles, such as `--good`. */
  readonly color: `--${string}`;
  /** One value per time; null where there is none. */
  readonly values: readonly (number | null)[];
}

export interface ChartProps {
  /** What the chart shows, for screen readers. The page shows the figures as text or as a table too. */
  readonly label: string;
  /** Seconds since 1970, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly kind?: "lines" | "bars";
  readonly heightPx?: number;
  /** The shortest time that is shown, so that a few points do not fill the chart. */
  readonly minSpanSeconds?: number;
  readonly format?: (value: number) => string;
}

/** A chart over time. It follows its width and the colour scheme. */
export function Chart(props: ChartProps) {
  const {
    label,
    times,
    series,
    kind = "lines",
    heightPx = 160,
    minSpanSeconds = 1,
    format = formatNumber,
  } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const names = series.map(({ name }) => name).join("\n");
  // The data is set below, without a new chart.
  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const create = () => {
      plot.current?.destroy();
      const options = optionsOf(element, { series, kind, heightPx, minSpanSeconds, format });
      plot.current = new uPlot(options, dataOf({ times, series, minSpanSeconds }), element);
    };
    create();
    const size = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: heightPx }),
    );
    size.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", create);
    return () => {
      size.disconnect();
      scheme.removeEventListener("change", create);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [names, kind, heightPx]);
  useEffect(
    () => plot.current?.setData(dataOf({ times, series, minSpanSeconds })),
    [times, series, minSpanSeconds],
  );
  return <div class="chart" ref={host} role="img" aria-label={label} />;
}

type ChartData = Required<Pick<ChartProps, "times" | "series" | "minSpanSeconds">>;

/** Of a single time uPlot would show years. */
function dataOf({ times, series, minSpanSeconds }: ChartData): uPlot.AlignedData {
  const [only] = times;
  const isSingle = only !== undefined && times.length === 1;
  return [
    isSingle ? [only - minSpanSeconds, only] : [...times],
    ...series.map(({ values }) => (isSingle ? [null, ...values] : [...values])),
  ];
}

/** A canvas understands neither custom properties nor `light-dark()`. */
function resolvedColor(element: HTMLElement, property: string): string {
  element.style.color = `var(${property})`;
  const { color } = getComputedStyle(element);
  element.style.color = "";
  return color;
}

type Look = Required<Pick<ChartProps, "series" | "kind" | "heightPx" | "minSpanSeconds" | "format">>;

function optionsOf(
  element: HTMLElement,
  { series, kind, heightPx, minSpanSeconds, format }: Look,
): uPlot.Options {
  const color = (name: string) => resolvedColor(element, name);
  const axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: `11px ${getComputedStyle(element).fontFamily}`,
  };
  const bars = kind === "bars" ? uPlot.paths.bars?.({ size: [0.7, 40] }) : undefined;
  return {
    width: element.clientWidth,
    height: heightPx,
    cursor: { y: false },
    legend: { live: true },
    scales: {
      x: { range: (_, min, max) => [Math.min(min, max - minSpanSeconds), max] },
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 80,
        values: (_, ticks, __, ___, step) => ticks.map((at) => formatTick(at * 1000, step)),
      },
      { ...axis, size: 48, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      { label: "Time", value: (_, at) => (at === null ? "" : formatTime(at * 1000)) },
      ...series.map(({ name, color: property }) => ({
        label: name,
        stroke: color(property),
        width: 1.5,
        points: { show: false },
        value: (_: uPlot, value: number | null) => (value === null ? "" : format(value)),
        ...(bars !== undefined && { fill: color(property), paths: bars }),
      })),
    ],
  };
}
