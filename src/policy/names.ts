import { z } from "zod";

/** What roles, limits and routes may be called. */
export const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "must be letters, digits, _ and -, at most 64");
