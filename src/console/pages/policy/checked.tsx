import type { CheckedPolicy, FileProblem, PolicyInForce, TestedCases } from "../../../client/types.ts";
import { formatPlural } from "../../data/format.ts";
import { visibleText } from "../../data/visible-text.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Notice } from "../../parts/notice.tsx";
import { Steps } from "../../parts/steps.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { PolicyDiff } from "./policy-diff.tsx";
import { ReplayView } from "./replay.tsx";

export interface CheckedViewProps {
  readonly checked: CheckedPolicy;
  readonly text: string;
  readonly active: PolicyInForce;
  readonly wantedReplay: boolean;
  /** Shows a line of the pasted text. */
  onLine(line: number): void;
}

/** What check, test and replay say, and the comparison with the policy in force. */
export function CheckedView({ checked, text, active, wantedReplay, onLine }: CheckedViewProps) {
  const { problems, warnings, lacking_plans: lacking, cases, replay } = checked;
  return (
    <>
      <Verdict checked={checked} />
      {problems.length > 0 && <Problems title="Problems" problems={problems} onLine={onLine} />}
      {lacking.map(({ name, overrides }) => (
        <Notice key={name} tone="warn">
          {formatPlural(overrides, "override")} name the plan <code>{visibleText(name)}</code>, which this
          policy lacks.
        </Notice>
      ))}
      {warnings.map((warning) => (
        <Notice key={warning} tone="warn">
          {visibleText(warning)}
        </Notice>
      ))}
      {cases !== null && <Cases cases={cases} />}
      {replay !== null && <ReplayView replay={replay} />}
      {wantedReplay && checked.ok && replay === null && (
        <Notice tone="warn">No request could be decided again: AUDIT_FILE is off on this instance.</Notice>
      )}
      <PolicyDiff before={active.text} after={text} hash={active.hash} />
    </>
  );
}

function Verdict({ checked: { ok, problems, summary } }: { readonly checked: CheckedPolicy }) {
  if (summary === null || !ok)
    return (
      <Notice tone="bad">
        <strong>An instance would reject this file</strong>: {formatPlural(problems.length, "problem")}.
      </Notice>
    );
  const parts = [
    formatPlural(summary.roles, "role"),
    formatPlural(summary.plans, "plan"),
    formatPlural(summary.routes, "route"),
  ];
  return (
    <Notice tone="good">
      <strong>{summary.active ? "This is the policy in force" : "An instance would load this file"}</strong>:
      policy <code>{summary.hash}</code> with {parts.join(", ")}.
      {summary.mode === "shadow" && " It is in shadow mode."}
    </Notice>
  );
}

interface ProblemsProps {
  readonly title: string;
  readonly problems: readonly FileProblem[];
  onLine?(line: number): void;
}

function Problems({ title, problems, onLine }: ProblemsProps) {
  const columns: readonly Column<FileProblem>[] = [
    {
      title: "Line",
      cell: ({ line }) =>
        onLine === undefined ? line : <Button onClick={() => onLine(line)}>Line {line}</Button>,
    },
    { title: "Problem", cell: ({ detail }) => <span class="break">{visibleText(detail)}</span> },
  ];
  return (
    <section>
      <h2>{title}</h2>
      <Table
        caption={title}
        columns={columns}
        rows={problems}
        keyOf={({ line, detail }) => `${line} ${detail}`}
      />
    </section>
  );
}

function Cases({ cases }: { readonly cases: TestedCases }) {
  if (cases.problems.length > 0) return <Problems title="Problems of the cases" problems={cases.problems} />;
  const { passed, failed, results } = cases;
  return (
    <section>
      <h2>
        Cases <Badge tone={failed === 0 ? "good" : "bad"}>{`${passed} passed, ${failed} failed`}</Badge>
      </h2>
      <Table caption="Cases" columns={CASES} rows={results} keyOf={({ line, name }) => `${line} ${name}`} />
    </section>
  );
}

type CaseResult = TestedCases["results"][number];

const CASES: readonly Column<CaseResult>[] = [
  {
    title: "Case",
    cell: ({ name, problems, steps, reason }) => (
      <>
        <span class="break">{visibleText(name)}</span>
        {problems.length > 0 && (
          <details>
            <summary>Steps</summary>
            <Steps steps={steps} isDenied={reason !== "allowed"} />
          </details>
        )}
      </>
    ),
  },
  { title: "Line", kind: "number", cell: ({ line }) => line },
  { title: "Decided", cell: ({ reason }) => <code>{reason}</code> },
  {
    title: "Result",
    cell: ({ problems }) =>
      problems.length === 0 ? (
        <Badge tone="good">passed</Badge>
      ) : (
        <>
          <Badge tone="bad">failed</Badge> <span class="break">{problems.map(visibleText).join("; ")}</span>
        </>
      ),
  },
];
