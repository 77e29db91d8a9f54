import { z } from "zod";
import { parseRate } from "../core/policy/duration.ts";

/** `10/s`, in tokens per second. */
export const rate = z.string().transform((text, context) => {
  const perSecond = parseRate(text);
  if (perSecond !== undefined && perSecond > 0) return perSecond;
  context.addIssue(`"${text}" is not a rate such as 10/s, 600/m, 5/h or 1/d`);
  return z.NEVER;
});
