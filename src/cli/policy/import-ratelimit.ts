import { stringify } from "yaml";
import { z } from "zod";
import { parsePolicy } from "../../policy/file.ts";
import { readYaml } from "../../policy/yaml-file.ts";

/** A file of the Go rate limit service, as a part of a policy. */
export interface ImportedRateLimits {
  /** A part of a policy file. Undefined if the file cannot be read. */
  readonly policy?: object;
  /** A line `FILE:LINE: …` for everything that the part does not have. */
  readonly problems: readonly string[];
}

const file = z.looseObject({ domain: z.string(), descriptors: z.array(z.unknown()) });
const descriptor = z.looseObject({
  key: z.string(),
  value: z.string().optional(),
  rate_limit: z.record(z.string(), z.unknown()).optional(),
  shadow_mode: z.boolean().optional(),
  descriptors: z.array(z.unknown()).optional(),
});
const UNITS = ["second", "minute", "hour", "day", "week", "month"];
const limit = z.looseObject({ unit: z.string(), requests_per_unit: z.int().min(1) });

type Path = readonly PropertyKey[];
type Report = (path: Path, what: string) => void;

/**
 * Converts a file of the Go rate limit service. Its windows up to an hour become buckets of the same size and refill, and the longer
 * ones become windows of the calendar.
 */
export function importRateLimits(text: string, fileName: string): ImportedRateLimits {
  const read = readYaml(text, fileName);
  if (!read.ok) return { problems: read.problems };
  const problems: string[] = [];
  const report: Report = (path, what) => problems.push(read.problemAt(path, what));
  const parsed = file.safeParse(read.value);
  if (!parsed.success) {
    report(
      [],
      "the file has no domain and descriptors: give a configuration file of the Go rate limit service",
    );
    return { problems };
  }
  const { domain } = parsed.data;
  const descriptors = convertAll(parsed.data.descriptors, ["descriptors"], report);
  const policy = { rate_limit_service: { domains: { [domain]: { descriptors } } } };
  const checked = parsePolicy({ text: stringify(policy), fileName: "the result" });
  return { policy, problems: checked.ok ? problems : [...problems, ...checked.problems] };
}

function convertAll(list: readonly unknown[], at: Path, report: Report): readonly object[] {
  return list.flatMap((each, index) => convert(each, [...at, index], report) ?? []);
}

function convert(value: unknown, path: Path, report: Report): object | undefined {
  const parsed = descriptor.safeParse(value);
  if (!parsed.success) {
    report(path, "a descriptor needs a key, and its value is text");
    return undefined;
  }
  const { key, value: text, rate_limit, shadow_mode, descriptors = [], ...unknown } = parsed.data;
  for (const name of Object.keys(unknown))
    report([...path, name], `${name} has no counterpart, and is left out`);
  const converted = rate_limit && convertLimit(rate_limit, [...path, "rate_limit"], report);
  const nested = convertAll(descriptors, [...path, "descriptors"], report);
  if (converted === undefined && nested.length === 0) {
    if (rate_limit === undefined) report(path, "has neither a rate_limit nor descriptors, and is left out");
    return undefined;
  }
  return {
    key,
    ...(text !== undefined && { value: text }),
    ...(shadow_mode === true && { shadow_mode }),
    ...(converted && { rate_limit: converted }),
    ...(nested.length > 0 && { descriptors: nested }),
  };
}

function convertLimit(written: Record<string, unknown>, path: Path, report: Report): object | undefined {
  const { unit: _unit, requests_per_unit: _requests, unlimited, ...unknown } = written;
  for (const name of Object.keys(unknown))
    report([...path, name], `${name} has no counterpart, and is left out`);
  if (unlimited === true) return { unlimited };
  const parsed = limit.safeParse(written);
  if (!parsed.success) {
    report(path, "needs a unit, and requests_per_unit of at least 1: the limit is left out");
    return undefined;
  }
  const { requests_per_unit } = parsed.data;
  const unit = parsed.data.unit.toLowerCase();
  if (UNITS.includes(unit)) return { unit, requests_per_unit };
  report([...path, "unit"], `the unit ${unit} has no counterpart: give the limit as capacity and refill`);
  return undefined;
}
