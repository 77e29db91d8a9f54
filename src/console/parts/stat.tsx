import type { ComponentChildren } from "preact";

export interface StatProps {
  readonly title: string;
  readonly value: ComponentChildren;
  readonly detail?: ComponentChildren;
}

/** One figure that is read at a glance. */
export function Stat({ title, value, detail }: StatProps) {
  return (
    <div class="stat">
      <dt>{title}</dt>
      <dd>
        <span class="value">{value}</span>
        {detail !== undefined && <span class="detail">{detail}</span>}
      </dd>
    </div>
  );
}

export function Stats({ children }: { readonly children: ComponentChildren }) {
  return <dl class="stats">{children}</dl>;
}
