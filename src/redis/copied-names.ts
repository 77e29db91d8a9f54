import type { SpreadKeys } from "./names.ts";

/** What a scan asks for. */
export const QUOTA_PATTERN = "latchkey:quota:*";
export const USAGE_DAY_PATTERN = "latchkey:usage:*day:*";

/** In a Cluster, or not. No kind of subject begins with a brace. */
const QUOTA = /^latchkey:quota:(?:\{([^}]*)\}:)?(.*)$/s;
const USAGE_DAY = /^latchkey:usage:(?:\{([^}]*)\}:day:(\d+)|day:(\d+):(.*))$/s;

/** The id of the counter with this name; undefined for other names. */
export function counterIdOf(keys: SpreadKeys, name: string): string | undefined {
  const [, subject, rest = ""] = QUOTA.exec(name) ?? [];
  const counterId = `quota/${subject === undefined ? rest : `${unescapeBraces(rest)}:${unescapeBraces(subject)}`}`;
  return keys.quota(counterId) === name ? counterId : undefined;
}

/** The day of usage with this name; undefined for other names. */
export function usageDayOf(
  keys: SpreadKeys,
  name: string,
): { readonly family: string; readonly day: number } | undefined {
  const [, tagged, taggedDay, plainDay, plain = ""] = USAGE_DAY.exec(name) ?? [];
  const family = tagged === undefined ? plain : unescapeBraces(tagged);
  const day = Number(taggedDay ?? plainDay);
  return keys.usageDay(family, day) === name ? { family, day } : undefined;
}

/** The tag of an empty subject has no code after its percent sign. */
function unescapeBraces(text: string): string {
  return text === "%"
    ? ""
    : text.replace(/%(25|7b|7d)/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
}
