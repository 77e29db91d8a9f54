import { escapeUnsafe } from "../core/escape-text.ts";

export interface LineWriterOptions {
  /** Whether lines are for people, or JSON for programs. */
  readonly terminal: boolean;
  readonly secrets: readonly string[];
  readonly write: (text: string) => void;
}

/** A shorter one stands in too many words. */
const MIN_SECRET_LENGTH = 8;
// A key of either kind, and the password of a URL: whatever text they have come into.
const CREDENTIALS = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|lk1_[\w-]{8,}|(?<=:\/\/[^\s/:@"]*:)[^\s/@"]+(?=@)/g;
const HIDDEN = "[hidden]";

/** Takes the log's JSON lines and writes them as they may be seen: without credentials, and harmless to a terminal. */
export function createLineWriter({ terminal, secrets, write }: LineWriterOptions): (json: string) => void {
  const hide = createRedactor(secrets);
  return (json) => {
    const line = escapeUnsafe(hide(json));
    write(terminal ? formatForTerminal(line) : line);
  };
}

function createRedactor(secrets: readonly string[]): (text: string) => string {
  const known = secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH);
  // As they stand in JSON.
  const texts = known.map((secret) => JSON.stringify(secret).slice(1, -1));
  const exact = texts.length === 0 ? undefined : new RegExp(texts.map(RegExp.escape).join("|"), "g");
  return (text) => {
    const open = exact === undefined ? text : text.replace(exact, HIDDEN);
    return open.replace(CREDENTIALS, HIDDEN);
  };
}

const COLOURS: Readonly<Record<string, string>> = { warn: "33", error: "31", fatal: "31" };

/** `12:00:00.000 warn  What happened  key="value"`, then an error's stack. Strings stay escaped as in JSON. */
function formatForTerminal(json: string): string {
  const line: Readonly<Record<string, unknown>> = JSON.parse(json);
  const { time, level, msg, err, ...fields } = line;
  const name = String(level).padEnd(5);
  const colour = COLOURS[String(level)];
  const said = colour === undefined ? name : `\u001b[${colour}m${name}\u001b[39m`;
  const rest = Object.entries(fields).map(([key, value]) => `  ${key}=${shown(value)}`);
  return `${String(time).slice(11, 23)} ${said} ${shown(msg).replace(/^"|"$/g, "")}${rest.join("")}\n${stackOf(err)}`;
}

function shown(value: unknown): string {
  return escapeUnsafe(JSON.stringify(value) ?? "");
}

/** The stacks of an error and of its causes, line by line. */
function stackOf(error: unknown): string {
  if (error === undefined) return "";
  const { stack = error, cause }: { stack?: unknown; cause?: unknown } = Object(error);
  const lines = String(stack).split("\n");
  return `${lines.map((line) => `    ${shown(line).slice(1, -1)}\n`).join("")}${stackOf(cause)}`;
}
