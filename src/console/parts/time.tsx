import { formatAge, formatTime } from "../data/format.ts";
import { useNow } from "../data/use-now.ts";

export interface TimeProps {
  /** RFC 3339. */
  readonly at: string | null;
  /** Instead of a time that is not known. */
  readonly otherwise?: string;
}

/** How long ago, or how far ahead. The title has the local time and the exact one. */
export function Time({ at, otherwise = "never" }: TimeProps) {
  // A list has hundreds of times, and most of them change every hour or day.
  const nowMs = useNow(at === null || isFar(at) ? FAR_EVERY_MS : undefined);
  if (at === null) return <span class="muted">{otherwise}</span>;
  const ms = Date.parse(at);
  return (
    <time class="number" dateTime={at} title={`${formatTime(ms)} (${at})`}>
      {formatAge(ms, nowMs)}
    </time>
  );
}

const FAR_MS = 3_600_000;
const FAR_EVERY_MS = 30_000;

function isFar(at: string): boolean {
  return Math.abs(Date.parse(at) - Date.now()) > FAR_MS;
}
