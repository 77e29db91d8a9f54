import { existsSync } from "node:fs";
import type { Command } from "commander";
import { stringify } from "yaml";
import { textOf } from "../../config/text-file.ts";
import { visible } from "../../core/escape-text.ts";
import type { Policy } from "../../core/policy/policy.ts";
import type { CaseFileResult } from "../../policy/cases.ts";
import { parseCases } from "../../policy/cases.ts";
import { parsePolicy } from "../../policy/file.ts";
import type { CaseResult } from "../../server/policy-trial/case-runner.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withClient } from "../with-client.ts";
import type { LackingPlan } from "./live-plans.ts";
import { lackingPlans } from "./live-plans.ts";
import { addReplayCommand } from "./replay.ts";
import { addTryCommand } from "./try.ts";

/** `latchkey policy …`: works on files and needs no instance. */
export function addPolicyCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const policy = program.command("policy").description("check and test policy files");
  policy
    .command("check <file>")
    .description("check whether an instance would load the file; list every problem with its line")
    .option("--live", "also list the plans that keys and overrides of LATCHKEY_URL have and the file lacks")
    .option("--json", "print JSON")
    .action(async (file: string, options: CheckOptions) => finish(await checkPolicy(io, file, options)));
  policy
    .command("test <file>")
    .description("run the cases of a policy (docs/reference/policy.md)")
    .option("--cases <file>", "the case file; default: NAME.cases.yaml beside NAME.yaml")
    .option("--json", "print JSON")
    .action(async (file: string, { cases, json }: { readonly cases?: string; readonly json?: true }) => {
      finish(await testPolicy(io, file, cases ?? file.replace(/(\.ya?ml)?$/, ".cases.yaml"), json));
    });
  policy
    .command("import-ratelimit <file>")
    .description("convert a configuration file of the Go rate limit service to a part of a policy")
    .option("--json", "print JSON")
    .action(async (file: string, { json }: { readonly json?: true }) =>
      finish(await importFile(io, file, json)),
    );
  addReplayCommand(policy, io, (file) => readPolicy(io, file), finish);
  addTryCommand(policy, io, (file) => readText(io, file), finish);
}

function summary(policy: Policy): string {
  const mode = policy.mode === "shadow" ? ", in shadow mode" : "";
  const plans = policy.plans.size === 0 ? "" : ` and ${policy.plans.size} plans`;
  return `policy ${policy.hash} with ${policy.roles.size} roles${plans}${mode}`;
}

interface CheckOptions {
  readonly live?: true;
  readonly json?: true;
}

async function checkPolicy(io: Io, file: string, { live, json }: CheckOptions): Promise<number> {
  const text = readText(io, file);
  if (text === undefined) return EXIT.usageError;
  const parsed = parsePolicy({ text, fileName: file });
  let lacking: readonly LackingPlan[] = [];
  if (live && parsed.ok) {
    const exitCode = await withClient(io, async (client) => {
      lacking = await lackingPlans(client, parsed.policy);
    });
    if (exitCode !== EXIT.done) return exitCode;
  }
  const problems = parsed.ok ? [] : parsed.problems;
  const warnings = parsed.ok ? [...parsed.policy.deprecations, ...parsed.policy.warnings] : [];
  if (json) {
    const found = parsed.ok && { hash: parsed.policy.hash, mode: parsed.policy.mode, warnings };
    io.print(JSON.stringify({ file, ok: parsed.ok, ...found, problems, ...(live && { lacking }) }));
  } else if (parsed.ok) {
    for (const warning of warnings) io.printError(`${file}: warning: ${warning}`);
    io.print(`${file}: valid, ${summary(parsed.policy)}`);
    for (const { plan, overrides, keys } of lacking)
      io.printError(`${file}: lacks the plan "${plan}" of ${keys} active keys and ${overrides} overrides`);
  } else io.printError(problems.join("\n"));
  return parsed.ok && lacking.length === 0 ? EXIT.done : EXIT.failed;
}

/** Returns undefined after printing the problems. */
function readPolicy(io: Io, file: string): Policy | undefined {
  const text = readText(io, file);
  if (text === undefined) return undefined;
  const parsed = parsePolicy({ text, fileName: file });
  if (parsed.ok) return parsed.policy;
  io.printError(parsed.problems.join("\n"));
  return undefined;
}

function readText(io: Io, file: string): string | undefined {
  const text = textOf(file);
  if (text !== undefined) return text;
  io.printError(
    `${file}: ${existsSync(file) ? "the file cannot be read, or is not UTF-8 text" : "there is no such file"}`,
  );
  return undefined;
}

async function testPolicy(io: Io, file: string, caseFile: string, json: true | undefined): Promise<number> {
  const policy = readPolicy(io, file);
  const text = readText(io, caseFile);
  if (!existsSync(file) || text === undefined) return EXIT.usageError;
  if (policy === undefined) return EXIT.failed;
  const cases = parseCases(text, caseFile);
  if (!cases.ok) {
    io.printError(cases.problems.join("\n"));
    return EXIT.failed;
  }
  const { runCases } = await import("../../server/policy-trial/case-runner.ts");
  const results = await runCases(cases.file, policy);
  const failed = results.filter(({ problems }) => problems.length > 0);
  for (const result of failed)
    io.printError(formatCaseResult(result, cases, results.indexOf(result), caseFile));
  const [passed, lines] = [results.length - failed.length, results.map(asJson)];
  if (json) io.print(JSON.stringify({ passed, failed: failed.length, cases: lines }));
  else io.print(`${passed} passed, ${failed.length} failed`);
  return failed.length === 0 ? EXIT.done : EXIT.failed;
}

async function importFile(io: Io, file: string, json: true | undefined): Promise<number> {
  const text = readText(io, file);
  if (text === undefined) return EXIT.usageError;
  const { importRateLimits } = await import("./import-ratelimit.ts");
  const { policy, problems } = importRateLimits(text, file);
  if (json) io.print(JSON.stringify({ policy, problems }));
  else if (policy !== undefined) io.print(stringify(policy).trimEnd());
  if (!json && problems.length > 0) io.printError(problems.join("\n"));
  return problems.length === 0 ? EXIT.done : EXIT.failed;
}

function asJson({ decisionCase, explanation, problems }: CaseResult) {
  return { name: decisionCase.name, reason: explanation.reason, problems };
}

function formatCaseResult(
  { decisionCase, explanation, problems }: CaseResult,
  cases: Extract<CaseFileResult, { ok: true }>,
  index: number,
  caseFile: string,
): string {
  const steps = explanation.steps.map(
    ({ step, observed, outcome }) => `    ${visible(`${step}: ${observed}: ${outcome}`)}`,
  );
  const result = visible(`${decisionCase.name}: ${problems.join("; ")}`);
  return [`${caseFile}:${cases.lineOf(index)}: ${result}`, ...steps].join("\n");
}
