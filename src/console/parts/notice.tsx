import type { ComponentChildren } from "preact";

export type Tone = "neutral" | "good" | "warn" | "bad";

/** A sentence that the person should read now. Screen readers say it when it appears. */
export function Notice({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return (
    <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}
