import type { ComponentChildren } from "preact";
import type { Tone } from "./notice.tsx";
import { Time } from "./time.tsx";

export interface TimelineEvent {
  readonly id: string;
  /** RFC 3339. */
  readonly at: string;
  readonly tone: Tone;
  readonly title: ComponentChildren;
  readonly detail?: ComponentChildren;
}

/** Events in the given order. */
export function Timeline({ events }: { readonly events: readonly TimelineEvent[] }) {
  return (
    <ol class="timeline">
      {events.map(({ id, at, tone, title, detail }) => (
        <li key={id} class={tone}>
          <div>
            <strong>{title}</strong> <Time at={at} />
          </div>
          {detail !== undefined && <div class="muted">{detail}</div>}
        </li>
      ))}
    </ol>
  );
}
