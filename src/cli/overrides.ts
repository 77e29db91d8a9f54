import type { Command } from "commander";
import type { LimitOverride } from "../client/types.ts";
import { visible } from "../core/escape-text.ts";
import { parseDuration } from "../core/policy/duration.ts";
import { UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { nameArgument, withClient } from "./with-client.ts";

/** The options that name the subject of an override: exactly one of them. */
export interface SubjectOptions {
  readonly owner?: string;
  readonly family?: string;
  readonly json?: true;
}

interface SetOptions extends SubjectOptions {
  readonly plan?: string;
  readonly quota: readonly QuotaOption[];
  readonly note?: string;
  readonly until?: string;
}

type QuotaOption = NonNullable<LimitOverride["quotas"]>[number];

/** `latchkey limits set` and `clear`: what an owner or a family gets instead of what its keys and roles say. */
export function addOverrideCommands(limits: Command, io: Io, finish: (exitCode: number) => void): void {
  withSubject(limits.command("set"))
    .description("give an owner or a family another plan or other quotas; replaces its former override")
    .option("--plan <plan>", "the plan that applies instead")
    .option(
      "--quota <name=limit[+extra]>",
      "a quota's limit, and units on top in the present window; repeat it for each quota that applies",
      appendQuota,
      [],
    )
    .option("--note <text>", "why, for people; at most 200 characters")
    .option("--until <time>", "when it ends: RFC 3339, or a duration from now such as 7d")
    .option("--json", "print JSON")
    .action(async (options: SetOptions) => {
      const subject = subjectOf(options);
      const override = overrideOf(options);
      finish(
        await withClient(io, async (client) => {
          await client.limits.setOverride(subject, override);
          io.print(options.json ? JSON.stringify({ ...subject, ...override }) : `set: ${nameOf(subject)}`);
        }),
      );
    });
  withSubject(limits.command("clear"))
    .description("clear the override of an owner or a family")
    .option("--json", "print JSON")
    .action(async (options: SubjectOptions) => {
      const subject = subjectOf(options);
      finish(
        await withClient(io, async (client) => {
          await client.limits.clearOverride(subject);
          io.print(
            options.json ? JSON.stringify({ ...subject, cleared: true }) : `cleared: ${nameOf(subject)}`,
          );
        }),
      );
    });
}

/** Prints the override of the subject. */
export function showOverride(io: Io, options: SubjectOptions): Promise<number> {
  const subject = subjectOf(options);
  return withClient(io, async (client) => {
    const found = await client.limits.showOverride(subject);
    if (options.json) return io.print(JSON.stringify(found));
    const missing = found.plan_known ? "" : ", which is not in the policy and does not apply";
    const lines = [
      `${nameOf(subject)}, set at ${found.set_at}${found.expires_at === null ? "" : `, until ${found.expires_at}`}`,
      ...(found.plan === null ? [] : [`plan: ${found.plan}${missing}`]),
      ...(found.note === null ? [] : [`note: ${found.note}`]),
    ];
    for (const line of lines) io.print(visible(line));
    if (found.quotas === null) return;
    const rows = found.quotas.map(({ name, limit, extra, extra_until: until }) => [
      name,
      String(limit),
      String(extra),
      until ?? "-",
    ]);
    io.print(formatTable(["quota", "limit", "extra", "extra until"], rows));
  });
}

export function withSubject(command: Command): Command {
  return command
    .option("--owner <owner>", "the owner", nameArgument)
    .option("--family <family>", "the family", nameArgument);
}

type Subject = { readonly owner: string } | { readonly family: string };

function subjectOf({ owner, family }: SubjectOptions): Subject {
  if (owner !== undefined && family === undefined) return { owner };
  if (family !== undefined && owner === undefined) return { family };
  throw new UsageError("give either --owner or --family");
}

function nameOf(subject: Subject): string {
  return "owner" in subject ? `owner ${subject.owner}` : `family ${subject.family}`;
}

function overrideOf({ plan, quota, note, until }: SetOptions): LimitOverride {
  if (plan === undefined && quota.length === 0) throw new UsageError("give --plan, --quota, or both");
  return {
    ...(plan !== undefined && { plan }),
    ...(quota.length > 0 && { quotas: quota }),
    ...(note !== undefined && { note }),
    ...(until !== undefined && { expires_at: momentOf(until) }),
  };
}

/** RFC 3339 has no later year. */
const YEAR_10000_MS = Date.UTC(10_000, 0);

/** A duration counts from this machine's time. */
function momentOf(text: string): string {
  const seconds = parseDuration(text);
  if (seconds === undefined) return text;
  const moment = new Date(Date.now() + seconds * 1000);
  if (!(moment.getTime() < YEAR_10000_MS)) throw new UsageError("--until must end before the year 10000");
  return moment.toISOString();
}

const QUOTA = /^([A-Za-z][\w-]*)=(\d{1,13})(?:\+(\d{1,13}))?$/;

function appendQuota(text: string, former: readonly QuotaOption[]): readonly QuotaOption[] {
  const [, name, limit, extra] = QUOTA.exec(text) ?? [];
  if (name === undefined) throw new UsageError("--quota must be NAME=LIMIT or NAME=LIMIT+EXTRA");
  return [
    ...former,
    { name, limit: Number(limit), ...(extra === undefined ? {} : { extra: Number(extra) }) },
  ];
}
