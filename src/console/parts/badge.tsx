import type { ComponentChildren } from "preact";
import type { Tone } from "./notice.tsx";

/** A state in one or two words. The words carry the meaning, not the colour. */
export function Badge({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}
