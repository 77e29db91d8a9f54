export interface MeterProps {
  /** 0 to 100, or more. The figures stand beside it as text. */
  readonly percent: number;
  readonly tone?: "accent" | "warn" | "bad";
}

/** A bar that shows a share. Decoration: screen readers get the text beside it. */
export function Meter({ percent, tone = "accent" }: MeterProps) {
  const width = `${Math.min(100, Math.max(0, percent))}%`;
  return (
    <span class={`meter ${tone}`} aria-hidden="true">
      <span style={{ width }} />
    </span>
  );
}
