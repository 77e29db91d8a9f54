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
  const nowMs = useNow();
  if (at === null) return <span class="muted">{otherwise}</span>;
  const ms = Date.parse(at);
  return (
    <time class="number" dateTime={at} title={`${formatTime(ms)} (${at})`}>
      {formatAge(ms, nowMs)}
    </time>
  );
}
