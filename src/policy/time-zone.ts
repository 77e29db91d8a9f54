import { z } from "zod";

/** The name of a time zone, in the spelling of the IANA database. */
export const timeZone = z.string().transform((text, context) => {
  const zone = ianaName(text);
  if (zone !== undefined) return zone;
  context.addIssue(`"${text}" is not an IANA time zone such as UTC or Europe/Berlin`);
  return z.NEVER;
});

/** Undefined for an unknown zone. An offset such as `+01:00` is not a name: its days would ignore daylight saving time. */
function ianaName(text: string): string | undefined {
  if (!/^[A-Za-z]/.test(text)) return undefined;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}
