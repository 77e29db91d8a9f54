import { visibleText } from "../data/visible-text.ts";

export interface ShownStep {
  readonly step: string;
  readonly observed: string;
  readonly outcome: string;
}

export interface StepsProps {
  readonly steps: readonly ShownStep[];
  /** Whether the last step denied. */
  readonly isDenied: boolean;
}

/** The steps of a decision, from the request down to the verdict. */
export function Steps({ steps, isDenied }: StepsProps) {
  return (
    <ol class="steps">
      {steps.map(({ step, observed, outcome }, at) => {
        const denies = isDenied && at === steps.length - 1;
        return (
          <li key={step} class={denies ? "bad" : "good"}>
            <div class="step">
              <strong>{step}</strong>
              <span class="outcome">{visibleText(outcome)}</span>
            </div>
            <div class="observed">{visibleText(observed)}</div>
          </li>
        );
      })}
    </ol>
  );
}
