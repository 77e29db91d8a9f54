import { formatCount } from "../../data/format.ts";
import { Time } from "../../parts/time.tsx";

export interface CountedProps {
  readonly complete: boolean;
  /** RFC 3339. */
  readonly asOf: string;
  /** "1,200 keys" */
  readonly read: string;
}

/** How old a count is, and whether it has ended. */
export function Counted({ complete, asOf, read }: CountedProps) {
  return (
    <p class="muted number">
      {complete ? (
        <>
          {read} read, <Time at={asOf} />
        </>
      ) : (
        <>Counting: {read} read so far…</>
      )}
    </p>
  );
}

/** `1,000`, or with a unit other than requests `1,000 tokens`. */
export function formatUnits(units: number, unit: string): string {
  return unit === "requests" ? formatCount(units) : `${formatCount(units)} ${unit}`;
}
