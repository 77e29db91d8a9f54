import type { Command } from "commander";
import type { CheckedPolicy, FileProblem, ReplayedRequests, TestedCases } from "../../client/types.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { formatTable } from "../table.ts";
import { withClient } from "../with-client.ts";

interface TryOptions {
  readonly cases?: string;
  readonly replay?: true;
  readonly json?: true;
}

type ReadText = (file: string) => string | undefined;

/** `latchkey policy try`: an instance checks a policy with its settings, its overrides and its audit files. */
export function addTryCommand(
  policy: Command,
  io: Io,
  readText: ReadText,
  finish: (exitCode: number) => void,
): void {
  policy
    .command("try <file>")
    .description(
      "let the instance of LATCHKEY_URL check, test and replay a policy, without putting it in force",
    )
    .option("--cases <file>", "a file of cases to test it with")
    .option("--replay", "also decide the last requests in the audit files of the instance (audit:read)")
    .option("--json", "print JSON")
    .action(async (file: string, options: TryOptions) => {
      const text = readText(file);
      const cases = options.cases === undefined ? "" : readText(options.cases);
      if (text === undefined || cases === undefined) return finish(EXIT.usageError);
      let passed = false;
      const exitCode = await withClient(io, async (client) => {
        const given = {
          ...(options.cases !== undefined && { cases }),
          ...(options.replay && { replay: true }),
        };
        const checked = await client.policy.check({ text, ...given });
        io.print(options.json ? JSON.stringify(checked) : formatChecked(checked, file, options));
        passed = checked.ok && !fails(checked);
      });
      finish(exitCode === EXIT.done && !passed ? EXIT.failed : exitCode);
    });
}

function fails({ cases, lacking_plans: lacking }: CheckedPolicy): boolean {
  return lacking.length > 0 || (cases !== null && cases.failed + cases.problems.length > 0);
}

function formatChecked(checked: CheckedPolicy, file: string, { cases, replay }: TryOptions): string {
  const { summary, warnings, lacking_plans: lacking } = checked;
  const at = (name: string, { line, detail }: FileProblem) => `${name}:${line}: ${detail}`;
  return [
    ...checked.problems.map((problem) => at(file, problem)),
    ...warnings.map((warning) => `${file}: warning: ${warning}`),
    ...(summary === null
      ? []
      : [
          `${file}: valid, policy ${summary.hash} with ${summary.roles} roles, ${summary.plans} plans and ${summary.routes} routes${summary.active ? ", which is in force" : ""}`,
        ]),
    ...lacking.map(({ name, overrides }) => `${file}: lacks the plan "${name}" of ${overrides} overrides`),
    ...(checked.cases?.problems.map((problem) => at(cases ?? "", problem)) ?? []),
    ...(checked.cases === null ? [] : formatCases(checked.cases, cases ?? "")),
    ...(checked.replay === null ? [] : formatReplay(checked.replay)),
    ...(replay && checked.ok && checked.replay === null
      ? ["The instance writes no audit files (AUDIT_FILE)."]
      : []),
  ].join("\n");
}

function formatCases(cases: TestedCases, file: string): readonly string[] {
  const failed = cases.results.filter(({ problems }) => problems.length > 0);
  return [
    ...failed.map(({ line, name, problems }) => `${file}:${line}: ${name}: ${problems.join("; ")}`),
    `${cases.passed} passed, ${cases.failed} failed`,
  ];
}

function formatReplay(replay: ReplayedRequests): readonly string[] {
  const rows = replay.changes.map((change) => [
    String(change.requests),
    change.route,
    change.role,
    change.was,
    change.would_be,
    change.first_at,
  ]);
  return [
    ...(rows.length === 0
      ? []
      : [formatTable(["requests", "route", "role", "was", "would be", "first"], rows)]),
    `${replay.requests} requests: ${replay.same} decided as before, ${replay.changed} differently, ${replay.undetermined} undetermined`,
    ...replay.unseen.map((text) => `- ${text}`),
  ];
}
