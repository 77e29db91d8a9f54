import type { TargetedSubmitEvent } from "preact";
import { useCallback, useRef, useState } from "preact/hooks";
import type { CheckedPolicy, PolicyCheck, PolicyInForce } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { useCall } from "../../data/use-call.ts";
import { Button } from "../../parts/button.tsx";
import { Denied, Empty, ProblemNotice } from "../../parts/states.tsx";
import { CheckedView } from "./checked.tsx";
import { TextOrFile } from "./text-or-file.tsx";

/** A policy that was checked, and the text that it was compared with. */
interface Result {
  readonly checked: CheckedPolicy;
  readonly text: string;
  readonly active: PolicyInForce;
  /** Whether a replay was requested. */
  readonly wantedReplay: boolean;
}

/** What a policy would do. It cannot be put in force here. */
export function TryView() {
  const missing = useMissingScope("system:read");
  return missing === undefined ? <TryForm /> : <Denied scope={missing} />;
}

function TryForm() {
  const client = useClient();
  const inForce = useCall(useCallback(() => client.policy.show(), [client]));
  const text = useRef<HTMLTextAreaElement>(null);
  const cases = useRef<HTMLTextAreaElement>(null);
  const [result, setResult] = useState<Result | undefined>(undefined);
  const check = useAction(async (body: PolicyCheck): Promise<Result> => {
    // The comparison must be with what is in force now.
    const [checked, active] = await Promise.all([client.policy.check(body), client.policy.show()]);
    return { checked, active, text: body.text, wantedReplay: body.replay === true };
  });
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const replay = new FormData(event.currentTarget).has("replay");
    const [policyText, caseText] = [text.current?.value ?? "", cases.current?.value ?? ""];
    if (check.isRunning || policyText.trim() === "") return text.current?.focus();
    setResult(undefined);
    setResult(
      await check.run({
        text: policyText,
        ...(caseText.trim() !== "" && { cases: caseText }),
        ...(replay && { replay }),
      }),
    );
  };
  return (
    <>
      <form class="stack" onSubmit={submit}>
        <p class="muted">
          Nothing here changes the policy in force. To put a policy in force, write it to the file that{" "}
          <code>POLICY_FILE</code> names, on every instance.
        </p>
        <div class="two-columns even">
          <TextOrFile field={text} label="Policy" hint="YAML, at most 1 MB." rows={16}>
            {inForce.value !== undefined && (
              <Button onClick={() => fill(text.current, inForce.value?.text ?? "")}>
                Start with the policy in force
              </Button>
            )}
          </TextOrFile>
          <TextOrFile
            field={cases}
            label="Cases"
            hint="Optional: keys, requests and the decisions that you expect."
            rows={16}
          />
        </div>
        <ReplayChoice />
        <div>
          <Button kind="primary" type="submit" isRunning={check.isRunning}>
            {check.isRunning ? "Checking…" : "Check the policy"}
          </Button>
        </div>
      </form>
      <div class="stack" aria-live="polite">
        {check.problem !== undefined && <ProblemNotice problem={check.problem} />}
        {result !== undefined && (
          <CheckedView {...result} onLine={(line) => selectLine(text.current, line)} />
        )}
        {result === undefined && check.problem === undefined && !check.isRunning && (
          <Empty>Paste a policy, or start with the one in force and change it.</Empty>
        )}
      </div>
    </>
  );
}

function ReplayChoice() {
  const missing = useMissingScope("audit:read");
  return (
    <div class="choice">
      <label>
        <input type="checkbox" name="replay" disabled={missing !== undefined} /> Decide the last requests of
        the audit log again
      </label>
      {missing !== undefined && (
        <span class="muted">
          {" "}
          needs <code>{missing}</code>
        </span>
      )}
    </div>
  );
}

function fill(field: HTMLTextAreaElement | null, text: string): void {
  if (field === null) return;
  field.value = text;
  field.focus();
  field.setSelectionRange(0, 0);
  field.scrollTop = 0;
}

/** Selects a line of the text, counted from 1, and scrolls to it. */
function selectLine(field: HTMLTextAreaElement | null, line: number): void {
  if (field === null) return;
  const lines = field.value.split("\n");
  const begin = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  field.focus();
  field.setSelectionRange(begin, begin + (lines[line - 1]?.length ?? 0));
  field.scrollTop = ((line - 3) / Math.max(1, lines.length)) * field.scrollHeight;
}
