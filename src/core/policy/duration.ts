const SECONDS_IN = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
type Unit = keyof typeof SECONDS_IN;

/** Reads `90s`, `5m`, `12h` or `7d` as seconds. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return Number(match[1]) * SECONDS_IN[match[2] as Unit]; // The pattern admits only the units.
}

/** Reads `10/s`, `600/m`, `5/h` or `1/d` as tokens a second. */
export function parseRate(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)\/([smhd])$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return Number(match[1]) / SECONDS_IN[match[2] as Unit]; // The pattern admits only the units.
}
