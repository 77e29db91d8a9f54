import { pino } from "pino";

export type Log = ReturnType<typeof createLog>;

/** One JSON line an event, on stdout. Header values, tokens and secrets are never given to it. */
export function createLog(level: string) {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
