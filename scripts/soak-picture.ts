/** The figures of one soak, in the order of time. Each row has a value for each column. */
export interface SoakFigures {
  readonly name: string;
  readonly rows: readonly Readonly<Record<string, number>>[];
}

interface Panel {
  readonly title: string;
  readonly value: (row: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>) => number;
}

const column = (name: string) => (row: Readonly<Record<string, number>>) => row[name] ?? 0;
const sentOf = (row: Readonly<Record<string, number>>) =>
  (row["allowed"] ?? 0) + (row["denied"] ?? 0) + (row["unavailable"] ?? 0);

const PANELS: readonly Panel[] = [
  { title: "Live memory after a garbage collection, MB", value: column("live_mb") },
  { title: "Resident memory, MB", value: column("resident_mb") },
  { title: "Open file descriptors", value: column("fds") },
  { title: "Connections of Envoy", value: column("grpc_connections") },
  { title: "Event-loop delay (p99), ms", value: column("loop_delay_p99_ms") },
  {
    title: "Requests per second through Envoy",
    value: (row, before) =>
      (sentOf(row) - sentOf(before)) / Math.max(1, (row["seconds"] ?? 0) - (before["seconds"] ?? 0)),
  },
];

const COLUMNS = 2;
const [WIDTH, HEIGHT] = [360, 170];
const PLOT = { left: 44, top: 34, width: 300, height: 100 };
const TOP = 34;

const STYLE = `
  .back { fill: #ffffff } text { fill: #1f2328; font: 11px sans-serif } .title { font-weight: 600 }
  .grid { stroke: #d1d9e0; stroke-width: 1 } .line { fill: none; stroke-width: 1.6; stroke-linecap: round }
  .s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 }
  .f0 { fill: #0969da } .f1 { fill: #bc4c00 } .f2 { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #3d444d }
    .s0 { stroke: #58a6ff } .s1 { stroke: #f0883e } .s2 { stroke: #3fb950 }
    .f0 { fill: #58a6ff } .f1 { fill: #f0883e } .f2 { fill: #3fb950 }
  }
`;

/** An SVG with one panel for each kind of figure and one line for each soak, readable on light and dark pages. */
export function soakPicture(soaks: readonly SoakFigures[]): string {
  const [width, height] = [COLUMNS * WIDTH, TOP + Math.ceil(PANELS.length / COLUMNS) * HEIGHT];
  const endSeconds = Math.max(...soaks.flatMap(({ rows }) => rows.map(column("seconds"))));
  const legend = soaks.map(
    ({ name }, at) =>
      `<rect class="f${at}" x="${16 + at * 150}" y="14" width="12" height="12" /><text x="${34 + at * 150}" y="24">${name}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    "<title>Figures of the soak by minute</title>",
    `<style>${STYLE}</style>`,
    `<rect class="back" width="${width}" height="${height}" />`,
    ...legend,
    ...PANELS.map((panel, at) => drawPanel(panel, at, soaks, endSeconds)),
    "</svg>",
    "",
  ].join("\n");
}

function drawPanel(
  { title, value }: Panel,
  at: number,
  soaks: readonly SoakFigures[],
  endSeconds: number,
): string {
  const series = soaks.map(({ rows }) =>
    rows.map((row, index) => ({ row, value: value(row, rows[index - 1] ?? {}) })),
  );
  const top = niceAbove(Math.max(1, ...series.flat().map((point) => point.value)));
  const x = (seconds: number) => round(PLOT.left + (PLOT.width * seconds) / endSeconds);
  const y = (shown: number) => round(PLOT.top + PLOT.height * (1 - shown / top));
  const levels = [0, top / 2, top].map(
    (level) =>
      `<line class="grid" x1="${PLOT.left}" x2="${PLOT.left + PLOT.width}" y1="${y(level)}" y2="${y(level)}" />` +
      `<text x="${PLOT.left - 6}" y="${y(level) + 4}" text-anchor="end">${level}</text>`,
  );
  const lines = series.map((points, index) => {
    const steps = points.map(({ row, value: shown }, order) => {
      // The line of a restarted process begins separately.
      const isNew = row["restarts"] !== points[order - 1]?.row["restarts"];
      // `h0` shows a single figure as a dot.
      return isNew ? `M${x(row["seconds"] ?? 0)} ${y(shown)}h0` : `L${x(row["seconds"] ?? 0)} ${y(shown)}`;
    });
    return `<path class="line s${index}" d="${steps.join(" ")}" />`;
  });
  const [left, down] = [(at % COLUMNS) * WIDTH, TOP + Math.floor(at / COLUMNS) * HEIGHT];
  return [
    `<g transform="translate(${left} ${down})">`,
    `<text class="title" x="16" y="20">${title}</text>`,
    ...levels,
    ...minutes(endSeconds).map(
      (minute) => `<text x="${x(minute * 60)}" y="150" text-anchor="middle">${minute} min</text>`,
    ),
    ...lines,
    "</g>",
  ].join("\n");
}

/** At most five labels. */
function minutes(endSeconds: number): readonly number[] {
  const step = [1, 2, 5, 10, 15, 30, 60].find((minute) => endSeconds / 60 / minute < 5) ?? 120;
  return Array.from({ length: Math.floor(endSeconds / 60 / step) + 1 }, (_, at) => at * step);
}

function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 6, 8, 10].find((factor) => factor * power >= value) ?? 10);
}

const round = (value: number): number => Math.round(value * 10) / 10;
