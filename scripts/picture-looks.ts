import { NARROW, WIDE } from "../test/support/console.ts";

/** How each page is pictured: the suffix of the file, and how the browser shows the page. */
export const LOOKS = [
  { suffix: "light", viewport: WIDE, colorScheme: "light" },
  { suffix: "dark", viewport: WIDE, colorScheme: "dark" },
  { suffix: "narrow", viewport: NARROW, colorScheme: "light" },
] as const;
