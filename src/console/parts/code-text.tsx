import { visibleText } from "../data/visible-text.ts";

export interface CodeTextProps {
  /** What the text is, for screen readers. */
  readonly label: string;
  readonly text: string;
}

/** A text with the numbers of its lines. */
export function CodeText({ label, text }: CodeTextProps) {
  const lines = text.replace(/\n$/, "").split("\n").length;
  const numbers = Array.from({ length: lines }, (_, at) => at + 1).join("\n");
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: The keyboard must be able to scroll it.
    <section class="code-text" tabIndex={0} aria-label={label}>
      <pre aria-hidden="true">{numbers}</pre>
      <pre>{visibleText(text)}</pre>
    </section>
  );
}
