import { z } from "zod";

/** The form of the names of roles, limits and routes. */
export const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "must be letters, digits, _ and -, at most 64");
