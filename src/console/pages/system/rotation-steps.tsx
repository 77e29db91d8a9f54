import type { ComponentChildren } from "preact";
import type { RotationStep, SigningKeys } from "../../../client/types.ts";
import { formatPlural, formatSeconds } from "../../data/format.ts";
import { Badge } from "../../parts/badge.tsx";
import { CopyButton } from "../../parts/copy-button.tsx";
import { Time } from "../../parts/time.tsx";

const STEPS = ["add", "promote", "retire"] as const;

const TEXTS = {
  add: { title: "Add a key", meaning: "The new key verifies on every instance, and signs nothing yet." },
  promote: { title: "Promote it", meaning: "The new key signs. The former one still verifies." },
  retire: {
    title: "Retire the former key",
    meaning: "Once every API key that it signed has expired, the former key is removed.",
  },
} as const;

/** The three steps of a rotation, with the one that comes next. */
export function RotationSteps({ signing }: { readonly signing: SigningKeys }) {
  const current = STEPS.indexOf(signing.next.step);
  return (
    <ol class="checklist">
      {STEPS.map((step, at) => {
        const state = at < current ? "done" : at === current ? "now" : "later";
        return (
          <li key={step} class={state} {...(state === "now" && { "aria-current": "step" as const })}>
            <div class="title">
              <strong>
                {at + 1}. {TEXTS[step].title}
              </strong>
              <StepBadge state={state} next={signing.next} />
            </div>
            <p class="muted">{TEXTS[step].meaning}</p>
            {state === "now" && <CurrentStep signing={signing} />}
          </li>
        );
      })}
    </ol>
  );
}

interface StepBadgeProps {
  readonly state: "done" | "now" | "later";
  readonly next: RotationStep;
}

function StepBadge({ state, next }: StepBadgeProps) {
  if (state === "done") return <Badge tone="good">done</Badge>;
  if (state === "later") return <Badge tone="neutral">later</Badge>;
  return next.waits_for === null ? <Badge tone="good">ready</Badge> : <Badge tone="warn">waits</Badge>;
}

function CurrentStep({ signing }: { readonly signing: SigningKeys }) {
  const { next } = signing;
  const kid = next.kid === null ? "" : ` ${next.kid}`;
  const since = next.waits_for === "unknown_end" ? " --since TIME" : "";
  const command = `latchkey secrets ${next.step}${kid}${since}`;
  return (
    <>
      <p>{waitText(signing)}</p>
      <div class="command">
        <code>{command}</code>
        <CopyButton text={command} what="the command" />
      </div>
    </>
  );
}

function waitText({ next, keys, instances, longest_ttl_seconds: ttl }: SigningKeys): ComponentChildren {
  const key = keys.find(({ kid }) => kid === next.kid);
  switch (next.waits_for) {
    case null:
      return next.step === "add" ? "No rotation is under way." : "Every instance has the step before.";
    case "setting":
      return "The signing secret was generated. To rotate, set JWT_SECRET or JWT_KEYS_FILE first.";
    case "unknown_end":
      return `The environment does not record when it stopped signing. Give that time: keys live up to ${formatSeconds(ttl)} from then.`;
    case "expiry":
      return (
        <>
          API keys that it signed may still be valid: possible <Time at={next.not_before} />.
        </>
      );
    case "instances":
      return next.step === "promote"
        ? `${formatPlural(instances - (key?.accepted_by ?? 0), "instance does", "instances do")} not have the key yet.`
        : `${formatPlural(key?.signed_by ?? 0, "instance still signs", "instances still sign")} with it.`;
  }
}
