import { z } from "zod";

/** A query parameter with a whole number from `min` to `max`, written in at most `digits` decimal digits. */
export function wholeNumber(min: number, max: number, digits: number): z.ZodType<number> {
  const form = new RegExp(`^\\d{1,${digits}}$`);
  return z.preprocess(
    (text) => (typeof text === "string" && form.test(text) ? Number(text) : text),
    z.int(`must be a whole number from ${min} to ${max}`).min(min).max(max),
  );
}

/** The size of a page: how many entries a list returns at most. */
export const pageLimit = wholeNumber(1, 500, 4);

/** A query parameter that is `true` or `false`. */
export const flag: z.ZodType<boolean> = z.preprocess(
  (text) => (text === "true" ? true : text === "false" ? false : text),
  z.boolean("must be true or false"),
);
