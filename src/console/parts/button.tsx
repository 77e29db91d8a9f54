import type { ComponentChildren } from "preact";

export interface ButtonProps {
  readonly children: ComponentChildren;
  /** `danger` changes what cannot be undone. `quiet` has no border. */
  readonly kind?: "normal" | "primary" | "danger" | "quiet";
  readonly type?: "button" | "submit";
  /** The name for screen readers, if the content is a sign. */
  readonly label?: string;
  readonly title?: string;
  readonly isDisabled?: boolean;
  /** While its call runs, it stays in the order of the keyboard but does nothing. */
  readonly isRunning?: boolean;
  readonly onClick?: () => void;
}

export function Button({ kind = "normal", type = "button", ...props }: ButtonProps) {
  const { children, label, title, isDisabled = false, isRunning = false, onClick } = props;
  return (
    <button
      class={`button ${kind}`}
      type={type}
      aria-label={label}
      title={title ?? label}
      disabled={isDisabled}
      aria-busy={isRunning || undefined}
      onClick={isRunning ? undefined : onClick}
    >
      {children}
    </button>
  );
}
