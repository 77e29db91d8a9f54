import { escapeUnsafe } from "../core/escape-text.ts";

export interface LineWriterOptions {
  /** Whether lines are formatted for people, instead of JSON for programs. */
  readonly terminal: boolean;
  readonly secrets: readonly string[];
  readonly write: (text: string) => void;
}

/** A shorter secret occurs in too many ordinary words. */
const MIN_SECRET_LENGTH = 8;
// Keys of either kind, and the password of a URL, in any text.
const CREDENTIALS = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|lk1_[\w-]{8,}|(?<=:\/\/[^\s/:@"]*:)[^\s/@"]+(?=@)/g;
const HIDDEN = "[hidden]";

/** Writes JSON lines without credentials, and without characters that control a terminal. */
export function createLineWriter({ terminal, secrets, write }: LineWriterOptions): (json: string) => void {
  const redact = createRedactor(secrets);
  return (json) => {
    const line = escapeUnsafe(redact(json));
    write(terminal ? formatForTerminal(line) : line);
  };
}

function createRedactor(secrets: readonly string[]): (text: string) => string {
  const known = secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH);
  // As JSON escapes them.
  const texts = known.map((secret) => JSON.stringify(secret).slice(1, -1));
  const exact = texts.length === 0 ? undefined : new RegExp(texts.map(RegExp.escape).join("|"), "g");
  return (text) => {
    const open = exact === undefined ? text : text.replace(exact, HIDDEN);
    return open.replace(CREDENTIALS, HIDDEN);
  };
}

const COLOURS: Readonly<Record<string, string>> = { warn: "33", error: "31", fatal: "31" };

/** `12:00:00.000 warn  Message  key="value"`, then an error's stack. Strings stay escaped as in JSON. */
function formatForTerminal(json: string): string {
  const line: Readonly<Record<string, unknown>> = JSON.parse(json);
  const { time, level, msg, err, ...fields } = line;
  const name = String(level).padEnd(5);
  const colour = COLOURS[String(level)];
  const label = colour === undefined ? name : `\u001b[${colour}m${name}\u001b[39m`;
  const rest = Object.entries(fields).map(([key, value]) => `  ${key}=${formatValue(value)}`);
  return `${String(time).slice(11, 23)} ${label} ${formatValue(msg).replace(/^"|"$/g, "")}${rest.join("")}\n${stackOf(err)}`;
}

function formatValue(value: unknown): string {
  return escapeUnsafe(JSON.stringify(value) ?? "");
}

/** The stacks of an error and of its causes, line by line. */
function stackOf(error: unknown): string {
  if (error === undefined) return "";
  const { stack = error, cause }: { stack?: unknown; cause?: unknown } = Object(error);
  const lines = String(stack).split("\n");
  return `${lines.map((line) => `    ${formatValue(line).slice(1, -1)}\n`).join("")}${stackOf(cause)}`;
}
