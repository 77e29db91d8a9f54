const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** With thousands separators: `12,345`. */
export function formatCount(count: number): string {
  return whole.format(count);
}

/** Three significant digits below 1000: `0.25`, `12.3`, `12,345`. */
export function formatNumber(value: number): string {
  return Math.abs(value) < 1000 ? fine.format(value) : whole.format(value);
}

/** `1 key`, `12 keys`. */
export function formatPlural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
] as const;

/** The largest unit, and for days and hours the next one: `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function formatSeconds(seconds: number): string {
  const rounded = Math.max(0, Math.floor(seconds));
  const at = UNITS.findIndex(([, size]) => rounded >= size);
  const [unit, size] = UNITS[at] ?? ["s", 1];
  const first = `${whole.format(Math.floor(rounded / size))} ${unit}`;
  const [nextUnit, nextSize] = UNITS[at + 1] ?? ["", 1];
  const rest = at === -1 ? 0 : Math.floor((rounded % size) / nextSize);
  return rest === 0 || nextUnit === "" ? first : `${first} ${rest} ${nextUnit}`;
}

/** `just now`, `3 min ago`, `in 2 h 5 min`. */
export function formatAge(timeMs: number, nowMs: number): string {
  const seconds = (nowMs - timeMs) / 1000;
  if (Math.abs(seconds) < 5) return seconds < 0 ? "in a moment" : "just now";
  return seconds < 0 ? `in ${formatSeconds(-seconds)}` : `${formatSeconds(seconds)} ago`;
}

const seconds = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** A time on an axis whose marks are this far apart, in the zone of the browser: `14:03:20`, `14:03`, `30 Nov`. */
export function formatTick(timeMs: number, stepSeconds: number): string {
  const format = stepSeconds < 60 ? seconds : stepSeconds < 86_400 ? minutes : days;
  return format.format(timeMs);
}

/** In the zone of the browser. */
export function formatTime(timeMs: number): string {
  return local.format(timeMs);
}

/** Milliseconds: `0.12 ms`, `1.3 ms`, `48 ms`. */
export function formatMs(ms: number): string {
  return `${ms < 10 ? fine.format(ms) : whole.format(ms)} ms`;
}
