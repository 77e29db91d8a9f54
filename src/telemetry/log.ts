import { pino } from "pino";
import { createLineWriter } from "./log-line.ts";

/** What an operator needs to know about a fault. The log line is `event: effect; check action`. */
export interface FaultMessage {
  /** The condition. */
  readonly event: string;
  /** What Latchkey does about it. */
  readonly effect: string;
  /** What to verify or to repair; follows "check". */
  readonly action: string;
}

/** One JSON line per event. Never pass it header values, tokens or secrets. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  /** A fault that Latchkey copes with. */
  warn(fields: object, message: FaultMessage): void;
  /** A fault because of which valid requests are denied, or will be. */
  error(fields: object, message: FaultMessage): void;
  /** The process exits. */
  fatal(fields: object, message: FaultMessage): void;
}

export interface LogOptions {
  readonly level: string;
  /** Whether lines are formatted for people instead of programs. */
  readonly terminal: boolean;
  /** Texts that are hidden, in case an error's text contains one. */
  readonly secrets: readonly string[];
  readonly write: (text: string) => void;
  /** Fields of every line. */
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
    warn: (fields, message) => log.warn(fields, formatFault(message)),
    error: (fields, message) => log.error(fields, formatFault(message)),
    fatal: (fields, message) => log.fatal(fields, formatFault(message)),
  };
}

function formatFault({ event, effect, action }: FaultMessage): string {
  return `${event}: ${effect}; check ${action}`;
}

/** Keeps only the members that describe the error. Others may contain secrets, such as a command's arguments. */
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
