import { pino } from "pino";
import { createLineWriter } from "./log-line.ts";

/** What a person who reads of a fault has to know: without one of the three it cannot be logged. */
export interface FaultMessage {
  readonly event: string;
  /** What Latchkey does about it. */
  readonly effect: string;
  /** What to look at, or to mend; after "check". */
  readonly action: string;
}

/** One JSON line an event. Header values, tokens and secrets are never given to it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  /** Something is not as it should be, and Latchkey gets along. */
  warn(fields: object, words: FaultMessage): void;
  /** Somebody was refused who should not have been, or will be. */
  error(fields: object, words: FaultMessage): void;
  /** The process ends. */
  fatal(fields: object, words: FaultMessage): void;
}

export interface LogOptions {
  readonly level: string;
  /** Whether people watch: then lines are for their eyes. */
  readonly terminal: boolean;
  /** What must not show, should an error's text ever hold it. */
  readonly secrets: readonly string[];
  readonly write: (text: string) => void;
  /** In each line. */
  readonly base?: object;
}

export function createLog({ level, base, ...options }: LogOptions): Log {
  const log = pino(
    {
      level,
      base: base ?? null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    { write: createLineWriter(options) },
  );
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, words) => log.warn(fields, sentence(words)),
    error: (fields, words) => log.error(fields, sentence(words)),
    fatal: (fields, words) => log.fatal(fields, sentence(words)),
  };
}

function sentence({ event, effect, action }: FaultMessage): string {
  return `${event}: ${effect}; check ${action}`;
}

/** Errors may carry what they were about, a command's arguments for one: only what says what went wrong is kept. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack, cause } = error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  const because = cause instanceof Error && depth < MAX_CAUSES;
  return {
    type: name,
    message,
    ...code,
    stack,
    ...(because && { cause: describeError(cause, depth + 1) }),
  };
}

const MAX_CAUSES = 3;
