import type { CheckedPolicy, PolicyCheck } from "../../api/admin/policy-check-schemas.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { parseCases } from "../../policy/cases.ts";
import { checkPolicy, policyOf } from "../../policy/file.ts";
import type { CaseResult } from "./case-runner.ts";
import { runCases } from "./case-runner.ts";
import { replayAuditFiles } from "./replayed-requests.ts";
import type { TrialData } from "./trial.ts";

const MAX_PROBLEMS = 200;
const MAX_RESULTS = 500;
/** A problem may quote a name of the file. */
const MAX_DETAIL_LENGTH = 500;

/** Checks a policy, and runs cases and past requests against it. */
export async function checkedPolicy(check: PolicyCheck, data: TrialData): Promise<CheckedPolicy> {
  const source = { ...data.source, text: check.text };
  const checked = checkPolicy(source);
  if (!checked.ok)
    return { ...NOTHING, ok: false, problems: fileProblems(checked.problems, source.fileName) };
  const policy = policyOf(source, checked.document);
  const { hash, mode, roles, plans } = policy;
  return {
    ok: true,
    problems: [],
    warnings: [...policy.deprecations, ...policy.warnings].slice(0, MAX_PROBLEMS).map(cut),
    summary: {
      hash,
      mode,
      roles: roles.size,
      plans: plans.size,
      routes: checked.document.routes.length,
      active: hash === data.activeHash,
    },
    lacking_plans: [...data.overridesByPlan]
      .filter(([name]) => !plans.has(name))
      .slice(0, MAX_PROBLEMS)
      .map(([name, overrides]) => ({ name, overrides })),
    cases: check.cases === undefined ? null : await testedCases(check.cases, policy),
    replay:
      check.replay !== true || data.auditFile === undefined
        ? null
        : await replayAuditFiles(data.auditFile, policy),
  };
}

const NOTHING = { warnings: [], summary: null, lacking_plans: [], cases: null, replay: null };

async function testedCases(text: string, policy: Policy): Promise<CheckedPolicy["cases"]> {
  const parsed = parseCases(text, CASES);
  if (!parsed.ok)
    return { problems: fileProblems(parsed.problems, CASES), passed: 0, failed: 0, results: [] };
  const run = await runCases(parsed.file, policy);
  const results = run.map((result, index) => resultBody(result, parsed.lineOf(index)));
  const [failed, passed] = [true, false].map((fails) =>
    results.filter(({ problems }) => problems.length > 0 === fails),
  );
  return {
    problems: [],
    passed: passed?.length ?? 0,
    failed: failed?.length ?? 0,
    results: [...(failed ?? []), ...(passed ?? [])].slice(0, MAX_RESULTS),
  };
}

const CASES = "cases";

function resultBody({ decisionCase, explanation, problems }: CaseResult, line: number) {
  const steps = problems.length === 0 ? [] : explanation.steps;
  return {
    line,
    name: cut(decisionCase.name),
    reason: explanation.reason,
    problems: problems.map(cut),
    steps: steps.map(({ step, observed, outcome }) => ({
      step,
      observed: cut(observed),
      outcome: cut(outcome),
    })),
  };
}

/** Splits lines `FILE:LINE: what is wrong`. */
function fileProblems(problems: readonly string[], fileName: string): CheckedPolicy["problems"] {
  return problems.slice(0, MAX_PROBLEMS).map((problem) => {
    const [, line, detail] = /^:(\d+): (.*)$/s.exec(problem.slice(fileName.length)) ?? [];
    return { line: Number(line ?? 1), detail: cut(detail ?? problem) };
  });
}

function cut(text: string): string {
  return text.length <= MAX_DETAIL_LENGTH ? text : `${text.slice(0, MAX_DETAIL_LENGTH).toWellFormed()}…`;
}
