import { useState } from "preact/hooks";
import { Button } from "./button.tsx";

export interface CopyButtonProps {
  readonly text: string;
  /** Names the text for screen readers: "the key". */
  readonly what: string;
}

/** Copies a text. It says so on itself, because a toast would be far from the eye. */
export function CopyButton({ text, what }: CopyButtonProps) {
  const [result, setResult] = useState<"copied" | "failed" | undefined>(undefined);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setResult("copied");
    } catch {
      setResult("failed");
    }
  };
  const content = { copied: "Copied", failed: "Copy by hand" } as const;
  return (
    <span aria-live="polite">
      <Button label={result === undefined ? `Copy ${what}` : content[result]} onClick={() => void copy()}>
        {result === undefined ? "Copy" : content[result]}
      </Button>
    </span>
  );
}
